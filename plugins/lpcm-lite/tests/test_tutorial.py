"""The tutorial of lpcm-train is true: its blocks are run, one after the other, as they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lpcm.cli.main import main as evaluate
from lpcm.cli.train import main as train

PAGE = Path(__file__).parents[3] / "docs" / "training.md"
PROGRAMS: dict[str, Callable[[list[str]], int]] = {"lpcm-train": train, "lpcm-eval": evaluate}


@pytest.mark.skipif(not PAGE.is_file(), reason="the page is in the repository, not in the distribution")
def test_every_block_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LPCM_STORE", str(tmp_path / "store"))
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    outputs: list[str] = []
    for language, text in blocks:
        if language == "text":  # asks for weights or for more than a minute
            continue
        if language == "python":
            names: dict[str, Any] = {}
            exec(compile(text, PAGE.name, "exec"), names)
            continue
        for line in text.strip().splitlines():
            program, *arguments = shlex.split(line)
            assert PROGRAMS[program](arguments) == 0, line
            outputs.append(capsys.readouterr().out)
    assert len(blocks) == 5
    assert "score it: lpcm-eval --encoder run:runs/shapes" in outputs[0]
    assert "run:shapes" in outputs[1] or "run:runs/shapes" in outputs[1]
