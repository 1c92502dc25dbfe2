"""``lpcm-eval run`` and ``show``: flags, files, tables and JSON."""

import json
import os
import shutil
from pathlib import Path

import pytest

from lpcm.cli.main import main
from lpcm.study.spec import Study

TOY = Path(__file__).parents[1] / "study" / "toy_plugin.py"
STUDY = [
    "--encoder",
    "toy",
    "--task",
    "fewshot",
    "--dataset",
    "toy",
    "--disentangler",
    "none,whiten",
    "--shots",
    "1,2",
]


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Run ``lpcm-eval`` with the toy plugin in a folder of its own; returns code, output, error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LPCM_STORE", str(tmp_path / "store"))

    def run(*arguments):
        code = main([*map(str, arguments), "--plugin", str(TOY)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_bare_flags_run_and_end_with_where_the_results_are(command, tmp_path):
    code, out, err = command(*STUDY, "--seeds", "2")
    assert code == 0
    folder = Path(out.strip().splitlines()[-1].removeprefix("results: "))
    assert sorted(p.name for p in folder.iterdir()) == [
        "outcomes",
        "rows.jsonl",
        "study.toml",
        "summary.jsonl",
    ]
    assert "9 of 9 cells" in err
    assert "whiten" in out


def test_json_is_all_that_is_printed(command):
    code, out, _ = command(*STUDY, "--seeds", "1", "--json", "--quiet")
    answer = json.loads(out)
    assert code == 0
    assert answer["exit_code"] == 0
    assert {row["cell"]["disentangler"] for row in answer["summary"]} == {"none", "whiten"}


def test_jobs_compute_in_several_processes(command):
    code, out, err = command(*STUDY, "--seeds", "1", "--jobs", "2", "--json")
    assert code == 0
    assert len(json.loads(out)["summary"]) == 5
    assert "5 of 5 cells" in err


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_jobs_are_a_count(command, jobs):
    code, _, err = command(*STUDY, f"--jobs={jobs}")
    assert code == 2
    assert "expected a whole number of at least 1" in err


def test_a_study_file_is_the_same_as_its_flags(command, tmp_path):
    command(*STUDY, "--seeds", "2", "--out", "by-flags", "--quiet")
    command("run", "by-flags/study.toml", "--out", "by-file", "--quiet")
    names = ("rows.jsonl", "summary.jsonl", "study.toml")
    assert [Path("by-file", n).read_bytes() for n in names] == [
        Path("by-flags", n).read_bytes() for n in names
    ]


def test_flags_change_the_fields_of_a_file(command):
    fields = (
        'encoder = "toy"',
        'task = "fewshot"',
        'dataset = "toy"',
        'disentangler = "none"',
        "shots = 1",
        "seeds = 3",
    )
    Path("study.toml").write_text("\n".join(fields))
    code, out, _ = command("run", "study.toml", "--seeds", "1", "--json", "--quiet")
    assert code == 0
    assert [row["seeds"] for row in json.loads(out)["summary"]] == [[0], [0]]


def test_a_flag_for_one_setting_keeps_those_of_the_file(command):
    lines = ('task = "fewshot"', "[set]", '"linear-probe.max_iter" = 50', '"linear-probe.C" = 0.5')
    Path("study.toml").write_text("\n".join(lines))
    flags = (
        "--encoder",
        "toy",
        "--dataset",
        "toy",
        "--shots",
        "1",
        "--seeds",
        "1",
        "--adapter",
        "linear-probe",
    )
    code, _, err = command(
        "run", "study.toml", *flags, "--set", "linear-probe.max_iter=60", "--out", "a", "--quiet"
    )
    assert code == 0, err
    kept = Study.parse(Study.load(Path("a/study.toml")), "a")
    assert kept.set == (("linear-probe.C", 0.5), ("linear-probe.max_iter", 60))


def test_show_prints_the_same_table_from_the_folder_alone(command, tmp_path):
    _, out, _ = command(*STUDY, "--seeds", "2", "--out", "a", "--quiet")
    shutil.rmtree(tmp_path / "store")
    code, shown, _ = command("show", "a")
    assert code == 0
    assert shown.strip() == out.split("\nresults:")[0].strip()
    code, out, _ = command("show", "a", "--json")
    assert len(json.loads(out)["rows"]) == 9


def test_show_of_a_failed_run_is_exit_1(command):
    code, out, _ = command(*STUDY, "--disentangler", "explode,none", "--seeds", "1", "--out", "a", "--quiet")
    assert code == 1
    assert "deliberate" in out
    assert command("show", "a")[0] == 1


def test_a_damaged_run_is_refused_with_the_way_out(command):
    command(*STUDY, "--seeds", "1", "--out", "a", "--quiet")
    Path("a/rows.jsonl").write_text("{half")
    code, _, err = command("show", "a")
    assert code == 2
    assert "run the study again" in err
    assert command(*STUDY, "--seeds", "1", "--out", "a", "--quiet")[0] == 0
    assert command("show", "a")[0] == 0


def test_a_study_that_needs_something_missing_is_exit_3(command):
    code, out, err = command("--encoder", "toy-missing", "--task", "fewshot", "--dataset", "toy", "--quiet")
    assert (code, out) == (3, "")
    assert "type: fetch them" in err


def test_the_default_dataset_needs_no_download_and_is_said(command):
    # The features of emoji are never computed here: the encoder is missing.
    _, _, err = command("--encoder", "toy-missing", "--task", "fewshot")
    assert "no dataset was given: taking" in err


def test_the_store_is_listed_verified_and_pruned(command, tmp_path):
    command(*STUDY, "--seeds", "1", "--quiet")
    code, out, _ = command("cache", "ls", "--json")
    assert code == 0
    assert json.loads(out)["folder"] == str(tmp_path / "store")
    assert command("cache", "verify")[:2] == (0, "0 damaged files\n")

    row = next((tmp_path / "store" / "results").rglob("*.json"))
    row.write_bytes(row.read_bytes().replace(b'"value": ', b'"value":  '))
    feature = next((tmp_path / "store" / "features").rglob("*.safetensors"))
    data = bytearray(feature.read_bytes())
    data[-5] ^= 1
    feature.write_bytes(bytes(data))
    code, out, _ = command("cache", "verify", "--json")
    assert code == 1
    assert {Path(d["path"]) for d in json.loads(out)} == {row, feature}
    assert command("cache", "verify", "--remove")[0] == 0
    assert not row.exists()
    assert command("cache", "verify")[0] == 0

    assert command("cache", "prune", "--days", "1")[1].startswith("removed 0 files")
    command("cache", "prune", "--days", "0")
    assert not [
        p for part in ("features", "results") for p in (tmp_path / "store" / part).rglob("*") if p.is_file()
    ]


def test_an_unwritable_store_is_an_error_and_not_a_traceback(command, tmp_path, monkeypatch):
    if os.geteuid() == 0:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("LPCM_STORE", str(tmp_path / "file" / "store"))
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        monkeypatch.setenv("LPCM_STORE", str(tmp_path / "locked" / "store"))
    code, _, err = command(*STUDY, "--seeds", "1", "--quiet")
    assert code == 2
    assert "store" in err
    assert "Traceback" not in err
