"""Every plugin in plugins/_broken ends in the state that its expected.toml states, alone and beside the others."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .installing import ROOT, install_each, lpcm_eval

FOLDERS = sorted(path.parent for path in (ROOT / "plugins" / "_broken").glob("*/pyproject.toml"))
NAMES = [folder.name for folder in FOLDERS]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return install_each(FOLDERS, tmp_path_factory.mktemp("broken"))


@cache
def listed(*path: Path) -> dict[str, Any]:
    done = lpcm_eval("plugins", "list", "--json", path=path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}


def assert_as_expected(plugin: dict[str, Any], folder: Path) -> None:
    expected = tomllib.loads((folder / "expected.toml").read_text())
    assert plugin["dist"] == f"lpcm-broken-{folder.name}"
    assert plugin["status"] == expected["status"]
    assert expected.get("reason", "") in plugin["reason"]
    assert any(expected.get("note", "") in note for note in plugin["notes"] or [""])


def test_seven_faults_are_kept() -> None:
    faults = "duplicate-name global-random import-error mistyped-hook network-at-import newer-api slow-import"
    assert faults.split() == NAMES


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_a_broken_plugin_ends_in_its_state_and_leaves_the_others_alone(
    folder: Path, installed: dict[str, Path]
) -> None:
    plugins = listed(installed[folder.name])
    assert_as_expected(plugins[folder.name], folder)
    # Only the one that takes a name of the built-ins changes their state, and both are still offered.
    assert plugins["core"]["status"] == ("conflict" if folder.name == "duplicate-name" else "ok")
    assert plugins["core"]["offers"]


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_only_a_plugin_that_works_offers_anything(folder: Path, installed: dict[str, Path]) -> None:
    plugin = listed(installed[folder.name])[folder.name]
    assert bool(plugin["offers"]) == (plugin["status"] in ("ok", "conflict"))


def test_all_broken_plugins_together_end_in_the_same_states(installed: dict[str, Path]) -> None:
    plugins = listed(*installed.values())
    for folder in FOLDERS:
        assert_as_expected(plugins[folder.name], folder)


def test_other_commands_say_in_one_line_what_is_unusable_and_go_on(installed: dict[str, Path]) -> None:
    done = lpcm_eval("ls", "disentanglers", "--json", path=list(installed.values()))
    assert done.returncode == 0
    assert {"lpcm:whiten", "lpcm-broken-duplicate-name:whiten"} <= {
        o["full_name"] for o in json.loads(done.stdout)
    }
    (line,) = done.stderr.splitlines()
    for name in ("import-error (broken)", "newer-api (incompatible)"):
        assert name in line
    assert "slow-import" not in line


def test_nothing_is_said_when_every_plugin_works() -> None:
    assert lpcm_eval("ls", "encoders", LPCM_PLUGINS="").stderr == ""


def test_why_tells_the_reason_and_ends_with_the_exit_code_for_missing(installed: dict[str, Path]) -> None:
    done = lpcm_eval("plugins", "why", "import-error", path=[installed["import-error"]])
    assert done.returncode == 3
    assert "a_module_that_nobody_has" in done.stdout
    assert "Traceback" in done.stdout  # the author needs the place


def test_check_fails_for_a_plugin_that_does_not_load(installed: dict[str, Path]) -> None:
    done = lpcm_eval("plugins", "check", "newer-api", path=[installed["newer-api"]])
    assert done.returncode == 1
    assert "plugin_loads: incompatible" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("lpcm-broken-newer-api 0.1.0: does not conform")


def test_asking_for_what_a_broken_plugin_would_offer_ends_with_its_reason(installed: dict[str, Path]) -> None:
    done = lpcm_eval("--encoder", "import-error", "--task", "fewshot", path=[installed["import-error"]])
    assert done.returncode == 3
    assert "a_module_that_nobody_has" in done.stderr


def test_strict_mode_makes_a_broken_plugin_fatal(installed: dict[str, Path]) -> None:
    done = lpcm_eval("ls", "encoders", path=[installed["global-random"]], LPCM_STRICT_PLUGINS="1")
    assert done.returncode != 0
    assert "global-random" in done.stderr
    assert done.stdout == ""
