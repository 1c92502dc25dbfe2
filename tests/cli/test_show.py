"""``lpcm-eval show``: a finished run as a table, as Markdown or as JSON."""

from pathlib import Path

import pytest

from lpcm.cli.main import main

TOY = Path(__file__).parents[1] / "study" / "toy_plugin.py"


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LPCM_STORE", str(tmp_path / "store"))

    def run(*arguments):
        code = main([*arguments, "--plugin", str(TOY)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_markdown_is_a_table_for_a_page(command):
    study = ("--encoder", "toy", "--task", "fewshot", "--dataset", "toy", "--disentangler", "none,whiten")
    assert command(*study, "--shots", "2", "--seeds", "2", "--out", "a", "--quiet")[0] == 0
    code, out, _ = command("show", "a", "--markdown")
    assert code == 0
    assert out.startswith("**fewshot: toy on toy** (n 36)\n\n| disentangler |")
    assert "| whiten | linear-probe | 2 |" in out
    code, _, err = command("show", "a", "--markdown", "--json")
    assert code == 2
    assert "expected one of them" in err
