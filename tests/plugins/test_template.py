"""The template: for each kind a plugin that is written whole, installs, passes its own tests, and is used."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path

import pytest

from lpcm.cli.main import main
from lpcm.errors import UsageError
from lpcm.plugin import template_files
from lpcm.plugin.records import Kind
from lpcm.plugin.template_files import render, template_folder
from lpcm.testing import canary

from .conftest import Rendered
from .installing import ROOT, lpcm_eval, run

KINDS = pytest.mark.parametrize("kind", list(Kind), ids=[kind.value for kind in Kind])


# --- writing --------------------------------------------------------------------------------------


@KINDS
def test_what_is_written_has_no_place_left_and_is_python(kind: Kind, tmp_path: Path) -> None:
    folder = render("a-name.of-mine", kind, tmp_path)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert folder == tmp_path / "a-name.of-mine"
    assert {"pyproject.toml", "README.md"} <= {path.name for path in files}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "{{" not in str(path)
        assert "{{" not in text.replace("{{}}", "")
        if path.suffix == ".py":
            ast.parse(text)
    assert (folder / "a_name_of_mine" / f"{kind.value}.py").is_file()


@KINDS
def test_what_is_written_is_clean_for_the_linters_own_defaults(kind: Kind, tmp_path: Path) -> None:
    folder = render(f"my-{kind.value}", kind, tmp_path)
    for command in (["check"], ["format", "--check"]):
        done = run([sys.executable, "-m", "ruff", *command, "--isolated", "."], cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr


@KINDS
def test_its_test_file_is_three_lines_of_code(kind: Kind, tmp_path: Path) -> None:
    text = (render("mine", kind, tmp_path) / "tests" / "test_conformance.py").read_text()
    code = [node for node in ast.parse(text).body if not isinstance(node, ast.Expr)]
    # import; decorator and function; its one statement
    assert len(code) == 2
    assert len(code[1].body) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My-Encoder", "expected lower-case letters"),
        ("", "expected lower-case letters"),
        ("../evil", "expected lower-case letters"),
        ("a b", "expected lower-case letters"),
        ("a--b", "expected lower-case letters"),
        ("3d-shapes", "which Python cannot import"),
        ("class", "which Python cannot import"),
        ("json", "exists already"),
        ("numpy", "exists already"),
        ("lpcm", "exists already"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_with_an_example(
    name: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        render(name, Kind.METRIC, tmp_path)
    assert reason in caught.value.message
    assert "lpcm-eval plugins new my-metric --kind metric" in caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["folder", "file", "dangling link"])
def test_nothing_is_written_over(there: str, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    if there == "folder":
        target.mkdir()
    elif there == "file":
        target.write_text("precious")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is there already"):
        render("mine", Kind.METRIC, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = tmp_path / "template"
    for layer in ("shared", "metric"):
        (template / layer).mkdir(parents=True)
    (template / "shared" / "a.txt").write_text("{{name}}")
    (template / "metric" / "b.txt").write_text("{{no_such_word}}")
    monkeypatch.setattr(template_files, "template_folder", lambda: template)
    with pytest.raises(Exception, match=r"no word for \{\{no_such_word\}\}"):
        render("mine", Kind.METRIC, tmp_path / "into")
    assert not list((tmp_path / "into").iterdir())


def test_a_new_folder_has_the_rights_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    assert render("mine", Kind.METRIC, tmp_path).stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write into"):
        render("mine", Kind.METRIC, tmp_path / "file" / "below")


def test_the_template_is_found_in_an_installed_package_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "lpcm" / "plugin"
    (installed / "template" / "shared").mkdir(parents=True)
    monkeypatch.setattr(template_files, "__file__", str(installed / "template_files.py"))
    assert template_folder() == installed / "template"
    # What puts it there.
    assert "DESTINATION lpcm/plugin/template" in (ROOT / "CMakeLists.txt").read_text()


def test_the_command_writes_and_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "new", "my-thing", "--kind", "geometry", "--into", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for step in (f"pip install {tmp_path / 'my-thing'}", "lpcm-eval plugins check my-thing"):
        assert step in said
    assert main(["plugins", "new", "my-thing", "--kind", "geometry", "--into", str(tmp_path)]) == 2
    assert main(["plugins", "new", "other"]) == 2


def test_the_command_to_install_never_means_a_package_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "my-thing", "--kind", "metric"]) == 0
    assert f"pip install .{os.sep}my-thing\n" in capsys.readouterr().out


# --- installed ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_installed_encoder_passes_its_own_tests(rendered: dict[Kind, Rendered]) -> None:
    plugin = rendered[Kind.ENCODER]
    # Below the source folder: the package is found where pip put it, the settings are those of the plugin.
    tests = plugin.source / "tests"
    done = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], path=[plugin.site], cwd=tests
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.slow
def test_the_own_tests_of_every_kind_pass_in_one_process(rendered: dict[Kind, Rendered]) -> None:
    # Together, since most of the time of each is importing torch once more.
    tests = [plugin.source / "tests" for plugin in rendered.values()]
    settings = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning", "-W", "error"]
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--import-mode=importlib"]
    command += ["--rootdir", str(tests[0].parents[1]), *settings[2:], *settings[:2]]
    done = run([*command, *tests], path=[rendered[Kind.ENCODER].site])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    for kind in Kind:
        assert f"my-{kind.value}/tests/test_{kind.value}.py" in done.stdout
        assert (
            f"my-{kind.value}/tests/test_conformance.py::test_my_{kind.value}[loader_resolves] PASSED"
            in done.stdout
        )


@pytest.mark.slow
@KINDS
def test_check_is_green_and_ends_with_a_verdict(
    kind: Kind,
    rendered: dict[Kind, Rendered],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plugin = rendered[kind]
    monkeypatch.syspath_prepend(plugin.site)
    # The check of what a fresh process imports reads sys.path from here.
    assert main(["plugins", "check", plugin.name]) == 0
    *lines, verdict = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.startswith("failed")]
    assert verdict.startswith(f"{plugin.name} 0.1.0: conforms to lpcm plugin interface 1.0 (")
    # A skipped check is one that cannot apply; most do.
    assert sum(line.startswith("passed") for line in lines) > 3 * sum(
        line.startswith("skipped") for line in lines
    )


@pytest.mark.slow
def test_all_installed_plugins_are_listed_together(rendered: dict[Kind, Rendered]) -> None:
    path = [rendered[Kind.ENCODER].site]
    states = json.loads(lpcm_eval("plugins", "--json", path=path).stdout)["plugins"]
    for kind in Kind:
        (state,) = [state for state in states if state["name"] == f"my-{kind.value}"]
        assert (state["status"], state["notes"]) == ("ok", [])
        offers = json.loads(lpcm_eval("ls", kind.plural, "--json", path=path).stdout)
        assert f"my-{kind.value}" in [offer["name"] for offer in offers]


@pytest.mark.slow
def test_the_canary_that_an_author_records_is_the_one_that_travels(
    rendered: dict[Kind, Rendered], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = rendered[Kind.ENCODER]
    monkeypatch.syspath_prepend(plugin.site)
    assert canary.main(["my-encoder"]) == 0
    printed = json.loads(capsys.readouterr().out)
    travels = json.loads((plugin.source / "my_encoder" / "canary.json").read_text())
    assert printed.keys() == travels.keys()
    # Six decimals are printed; another processor may round the last ones otherwise.
    assert printed["image"] == pytest.approx(travels["image"], abs=1e-4)


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["a", "b"], 2), (["no-such-encoder"], 2)])
def test_recording_a_canary_of_nothing_is_a_wrong_use(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert canary.main(arguments) == code
    assert capsys.readouterr().err.startswith("lpcm.testing.canary: ")


@pytest.mark.slow
def test_the_encoder_runs_in_the_few_shot_task(
    rendered: dict[Kind, Rendered],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(rendered[Kind.ENCODER].site)
    study = "--encoder my-encoder --task fewshot --dataset digits --disentangler none --shots 8 --seeds 2 --workers 0"
    places = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "run"), "--json", "--quiet"]
    assert main([*study.split(), *places]) == 0
    (summary,) = json.loads(capsys.readouterr().out)["summary"]
    # 85 % were measured with these two seeds; chance is 10 %. Far above chance is all that is claimed.
    assert summary["value"] > 0.6


@pytest.mark.slow
def test_what_other_kinds_offer_runs_too(
    rendered: dict[Kind, Rendered], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(rendered[Kind.ENCODER].site)
    study = "--encoder my-encoder --task my-task --dataset my-dataset --disentangler my-disentangler"
    rest = "--adapter my-adapter --components 8 --seeds 1 --workers 0 --quiet --json"
    places = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "run")]
    assert main([*study.split(), *rest.split(), *places]) == 0


def test_no_build_leaves_files_in_the_template() -> None:
    found = [path for _, folders, _ in os.walk(template_folder()) for path in folders]
    assert not {"build", "dist"} & set(found)
