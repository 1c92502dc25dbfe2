"""The pages about plugins cannot drift: tables are made from the code, examples run, commands parse."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from lpcm import builtin
from lpcm.cli.main import build_parser
from lpcm.plugin import hookspecs
from lpcm.plugin.loader import Status
from lpcm.plugin.records import Kind
from lpcm.testing import decorators, pytest_plugin

from .installing import ROOT

FOLDER = ROOT / "docs" / "plugins"
INDEX = (FOLDER / "index.md").read_text(encoding="utf-8")
HOOKS = [name for name in vars(hookspecs) if name.startswith("lpcm_")]
PAGES = sorted(FOLDER.glob("*.md"))

KINDS = pytest.mark.parametrize("kind", list(Kind), ids=[kind.value for kind in Kind])


def text_of(kind: Kind) -> str:
    return (FOLDER / f"{kind.value}.md").read_text(encoding="utf-8")


def blocks(path: Path, language: str) -> list[str]:
    """Code blocks of a page in one language."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [code for name, code in found if name == language]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_plugin_pages", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_parts_are_those_of_the_code(generate: ModuleType) -> None:
    behind = [
        path.name
        for path, kind in generate.pages()
        if generate.page(path.read_text(encoding="utf-8"), kind) != path.read_text(encoding="utf-8")
    ]
    assert not behind, "type: python docs/plugins/generate.py"


def test_a_part_that_is_behind_is_noticed(generate: ModuleType) -> None:
    stale = "before\n<!-- generated: hooks -->\nold\n<!-- end -->\nafter\n"
    fresh = generate.page(stale, None)
    assert fresh != stale
    assert fresh.startswith("before\n")
    assert fresh.endswith("<!-- end -->\nafter\n")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_version_and_has_a_test(hook: str) -> None:
    assert re.search(rf"^\| `{hook}` \|.*\| \d+\.\d+ \|", INDEX, re.MULTILINE)
    places = [*Path(__file__).parent.glob("*.py"), *(ROOT / "plugins" / "template").rglob("plugin.py")]
    used = [
        path
        for path in places
        if path != Path(__file__) and f"def {hook}(" in path.read_text(encoding="utf-8")
    ]
    assert used


@KINDS
def test_every_kind_has_a_page_with_every_part(kind: Kind) -> None:
    assert f"({kind.value}.md)" in INDEX
    text = text_of(kind)
    assert kind.hook in text
    for part in ("record", "contract", "checks", "builtins"):
        assert f"<!-- generated: {part} -->" in text


@KINDS
def test_every_built_in_name_and_setting_is_documented(kind: Kind) -> None:
    text = text_of(kind).partition("<!-- generated: builtins -->")[2]
    for record in getattr(builtin, kind.hook)():
        (line,) = [line for line in text.splitlines() if re.match(rf"\| `{re.escape(record.name)}[`:]", line)]
        for param in record.params:
            assert f"`{param.name}`" in line


@KINDS
def test_fields_that_only_this_kind_has_are_explained_in_words(kind: Kind, generate: ModuleType) -> None:
    text = text_of(kind)
    prose = text[: text.index("<!-- generated: record -->")]
    for line in generate.record(kind).splitlines():
        if line.endswith("| see above |"):
            assert line.split("|")[1].strip() in prose


def test_every_state_is_documented() -> None:
    for status in Status:
        assert f"| `{status.value}` |" in INDEX


def test_every_fixture_and_decorator_is_documented() -> None:
    fixtures = re.findall(r"@pytest\.fixture\ndef (\w+)", Path(pytest_plugin.__file__).read_text())
    checks = [name for name in vars(decorators) if name.startswith("check_")]
    assert len(fixtures) == 6
    assert len(checks) == len(Kind) + 1  # tasks have two: simulations promise other things
    for name in fixtures + checks:
        assert f"`{name}`" in INDEX


def test_the_version_of_the_interface_is_the_documented_one() -> None:
    assert f"This is version {hookspecs.API[0]}.{hookspecs.API[1]} " in INDEX


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_python_examples_run(path: Path) -> None:
    for code in blocks(path, "python"):
        exec(compile(code, str(path), "exec"), {"__name__": path.stem})


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_commands_parse(path: Path) -> None:
    for block in blocks(path, ""):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            while words and "=" in words[0]:
                words.pop(0)  # a variable that is set for the command
            if words and words[0] == "lpcm-eval":
                flags_first = words[1].startswith("-")
                build_parser().parse_args(["run", *words[1:]] if flags_first else words[1:])
