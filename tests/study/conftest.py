"""A host with the toy plugin, a store that is thrown away, and a way to run the command line on both."""

import json
from pathlib import Path

import pytest

from lpcm.cli.main import main
from lpcm.plugin.host import PluginHost
from lpcm.study.runner import Runner
from lpcm.study.spec import Study

TOY = Path(__file__).with_name("toy_plugin.py")


@pytest.fixture(scope="session")
def toy_host():
    return PluginHost.discover(files=[TOY])


@pytest.fixture
def run_toy(toy_host, tmp_path):
    """Run a study of the toy encoder: ``run_toy(shots="2", ...)`` changes its fields."""

    def run(*, store=tmp_path / "store", out=None, reporter=None, **fields):
        asked = {
            "encoder": "toy",
            "task": "fewshot",
            "dataset": "toy",
            "disentangler": "none,whiten",
            "seeds": "2",
            "shots": "1,2",
        }
        asked = {name: value for name, value in {**asked, **fields}.items() if value is not None}
        study = Study.parse(asked, "test")
        return Runner(toy_host, store, reporter).run(study, out, tmp_path / "runs")

    return run


@pytest.fixture
def command(tmp_path, capsys):
    """Run ``lpcm-eval`` in this process with the toy plugin and a store of its own; returns code, output, error."""

    def run(*arguments, plugin=True, store=True):
        more = [
            *(["--plugin", str(TOY)] if plugin else []),
            *(["--store", str(tmp_path / "store")] if store else []),
        ]
        code = main([*map(str, arguments), *more])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
