"""lpcm-bench measures what it says, and its help is instant."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from lpcm.cli import bench
from lpcm.loss import throughput


def test_help_imports_no_torch():
    script = "import sys; from lpcm.cli.bench import parser; parser().format_help(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_json_holds_every_contender(capsys):
    assert (
        bench.run(["--n", "64", "--d", "8", "--repeats", "1", "--threads", "1", "--no-compile", "--json"])
        == 0
    )
    out = json.loads(capsys.readouterr().out)
    assert out["machine"]["threads"] == 1
    names = {row["name"] for row in out["rows"]}
    assert {"lpcm fp32", "lpcm bf16", "open_clip fp32", "open_clip bf16"} <= names
    for row in out["rows"]:
        assert row["seconds"] > row["forward_seconds"] > 0
        assert row["tflops"] * 1e12 == pytest.approx(8 * 64 * 64 * 8 / row["seconds"])
        if row["name"].startswith("open_clip") and "compiled" not in row["name"]:
            assert row["ratio"] == 1.0


def test_table_for_people(capsys):
    assert bench.run(["--n", "64", "--d", "8", "--repeats", "1", "--threads", "1", "--ours"]) == 0
    out = capsys.readouterr().out
    assert "peak of fp32" in out
    assert "lpcm bf16" in out
    assert "open_clip fp32" not in out


def test_losses_can_be_chosen(capsys):
    line = ["--n", "33", "--d", "7", "--repeats", "1", "--threads", "1", "--no-compile", "--json"]
    assert bench.run([*line, "--losses", "open_clip bf16", "lpcm bf16"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["name"] for row in rows] == ["open_clip bf16", "lpcm bf16"]


def test_a_baseline_that_talks_does_not_spoil_the_json(capsys, monkeypatch):
    quiet = throughput.contenders(baselines=False)[0]

    def loss(x, y, s):
        print("compiling")
        return quiet.loss(x, y, s)

    monkeypatch.setattr(throughput, "contenders", lambda **_: [replace(quiet, name="chatty", loss=loss)])
    assert bench.run(["--n", "17", "--d", "3", "--repeats", "1", "--threads", "1", "--json"]) == 0
    said = capsys.readouterr()
    assert [row["name"] for row in json.loads(said.out)["rows"]] == ["chatty"]
    assert "compiling" in said.err


def test_keops_gives_the_same_loss_and_gradients(towers, differentiate, relative):
    pytest.importorskip("pykeops", reason="KeOps is not installed")
    x, y = towers(33, 3)
    ours, theirs = (
        differentiate(c.loss, x, y, 14.0, dtype=torch.float32)
        for c in throughput.contenders(compiled=False)
        if c.name in ("lpcm fp32", "keops fp32")
    )
    for a, b in zip(ours, theirs, strict=True):
        assert relative(a, b) < 2e-5  # fp32's promise


def test_wrong_sizes_are_refused(capsys):
    with pytest.raises(SystemExit):
        bench.run(["--n", "0"])
    assert "0 is not a positive number" in capsys.readouterr().err
