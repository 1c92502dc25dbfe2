"""The command line: exit codes, errors that teach, and help that is instant."""

import json
import subprocess
import sys

import pytest

from lpcm import __version__
from lpcm.cli.main import COMMANDS, main
from lpcm.plugin import Kind


def answer(capsys, *arguments):
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_every_command_has_help(capsys, arguments):
    code, out, _ = answer(capsys, *arguments)
    assert code == 0
    assert "usage: lpcm-eval" in out


def test_the_version_is_printed(capsys):
    assert answer(capsys, "--version") == (0, f"lpcm {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["rum"], "no command is called 'rum'", "did you mean 'run'?"),
        (["--encoder", "toy"], "no task was given", "fewshot"),
        (["--task", "fewshot"], "no encoder was given", "vit-b16"),
        (["--encoder", "vit-b61", "--task", "fewshot"], "no encoder is called 'vit-b61'", "'vit-b16'"),
        (["--encoder", "vit-b16", "--task", "fewshots"], "no task is called 'fewshots'", "'fewshot'"),
        (["--encoder", "vit-b16:x", "--task", "fewshot"], "takes nothing after a colon", "type: vit-b16"),
        (["--encoder", "timm", "--task", "fewshot"], "needs NAME", "type: timm:NAME"),
        (
            ["--encoder", "rn50", "--task", "fewshot", "--disentangler", "icaa"],
            "no disentangler is called",
            "'ica'",
        ),
        (["--encoder", "rn50", "--task", "fewshot", "--set", "ica.kk=3"], "no setting 'kk'", "k"),
        (["--encoder", "rn50", "--task", "fewshot", "--set", "icc.k=3"], "nothing in this study", "'ica'"),
        (["--encoder", "rn50", "--task", "fewshot", "--set", "ica.k=many"], "expected int", ""),
        (
            ["--encoder", "rn50", "--task", "fewshot", "--protocol", "best"],
            "expected clean or beyond-dags",
            "",
        ),
        (
            ["--encoder", "rn50,rn101", "--task", "fewshot", "--weights", "w.pt"],
            "--weights goes with one encoder",
            "",
        ),
        (["--shots", "two"], "shots is 'two'", ""),
        (["--frobnicate"], "--frobnicate", "--help"),
        (["run", "nowhere.toml"], "nowhere.toml", ""),
        (["show", "nowhere"], "no run 'nowhere'", ""),
        (["ls", "encoder"], "encoders", ""),
        (["cache", "prune"], "needs an age", "--days"),
        (["plugins", "why"], "needs a name", ""),
        (["plugins", "why", "corr"], "no plugin is called 'corr'", "'core'"),
        (["plugins", "new", "x"], "needs --kind", "encoder"),
        (["plugins", "list", "--no-plugin", "cora"], "no plugin is called that", "'core'"),
        (["plugins", "list", "--plugin", "missing.py"], "existing Python file", ""),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_to_type(capsys, monkeypatch, tmp_path, arguments, message, hint):
    monkeypatch.chdir(tmp_path)
    code, out, err = answer(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert hint in err
    assert "Traceback" not in err


def test_missing_weights_are_exit_3_and_name_the_ways_out(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    arguments = ["--encoder", "vit-b16", "--task", "fewshot", "--dataset", "digits", "--offline", "--quiet"]
    code, out, err = answer(capsys, *arguments, "--store", str(tmp_path / "s"), "--out", str(tmp_path / "o"))
    assert code == 3
    assert out == ""
    assert "--weights" in err
    assert "Traceback" not in err


def test_a_missing_dataset_is_exit_3_and_draws_its_layout(capsys, tmp_path):
    arguments = [
        "--encoder",
        "timm:resnet18",
        "--task",
        "fewshot",
        "--dataset",
        "caltech101",
        "--offline",
        "--quiet",
    ]
    code, _, err = answer(capsys, *arguments, "--store", str(tmp_path / "s"), "--out", str(tmp_path / "o"))
    assert code == 3
    assert "Traceback" not in err


@pytest.mark.parametrize("kind", [kind.plural for kind in Kind])
def test_every_kind_is_listed_for_people_and_machines(capsys, kind):
    code, text, _ = answer(capsys, "ls", kind, "--settings")
    assert code == 0
    code, out, _ = answer(capsys, "ls", kind, "--json")
    offers = json.loads(out)
    assert code == 0
    assert offers
    for offer in offers:
        assert offer["name"] in text
        assert offer["summary"] in text
        assert offer["full_name"] == f"{offer['dist']}:{offer['name']}"


def test_doctor_knows_the_machine(capsys, tmp_path):
    code, out, _ = answer(capsys, "doctor", "--json", "--store", str(tmp_path))
    found = json.loads(out)
    assert code == 0
    assert "generic" in found["processor"]["levels"]
    assert any(p["name"] == "core" and p["status"] == "ok" for p in found["plugins"])
    code, out, _ = answer(capsys, "doctor", "--store", str(tmp_path))
    assert code == 0
    assert "level in force" in out


def test_a_reader_that_leaves_is_no_error(tmp_path):
    code = "import sys; from lpcm.cli.main import main; sys.exit(main(['ls', 'encoders']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    process.wait()
    assert process.stderr.read() == b""
    process.stderr.close()
