"""The runner: what is done is kept, what fails is a row, what was interrupted goes on."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lpcm.errors import UsageError
from lpcm.study.rows import stable
from lpcm.study.run_folder import read_run

from .conftest import TOY, lines

TOY_STUDY = ["--encoder", "toy", "--task", "fewshot", "--dataset", "toy"]


def axes(run):
    return [tuple(row["cell"].values()) for row in run.rows]


def test_every_cell_of_the_product_has_a_row(run_toy):
    run = run_toy()
    # 1 zero-shot reference, then 2 disentanglers x 2 shot counts x 2 seeds.
    assert len(run.rows) == 1 + 8
    assert len(set(axes(run))) == 9
    assert len(run.summary) == 1 + 4
    assert run.exit_code == 0


def test_a_row_has_interval_null_digests_and_cost(run_toy):
    row = run_toy().rows[-1]
    assert row["interval"]["samples"]["low"] <= row["value"] <= row["interval"]["samples"]["high"]
    assert row["null"]["chance"] == 0.25
    assert row["n"] == 36
    assert set(row["digests"]) == {"encoder", "dataset", "test", "outcomes"}
    assert row["cost"]["seconds"] > 0
    assert row["selection"]


def test_the_encoder_that_sees_colour_beats_chance(run_toy):
    best = max(row["value"] for row in run_toy(shots="8").summary)
    assert best > 0.6  # chance is 0.25; the patches are noisy, not hopeless


def test_a_second_run_computes_nothing_and_gives_the_same_bytes(run_toy, monkeypatch):
    first = run_toy()
    before = {p.name: p.read_bytes() for p in first.folder.rglob("*") if p.is_file()}
    monkeypatch.setenv("TOY_FORBID_ENCODING", "1")
    second = run_toy()
    assert second.folder == first.folder
    assert {p.name: p.read_bytes() for p in second.folder.rglob("*") if p.is_file()} == before


def test_cold_and_warm_stores_give_the_same_rows(run_toy, tmp_path):
    warm = run_toy()
    run_toy(seeds="1", shots="2", store=tmp_path / "partly")
    for store in ("empty", "partly"):
        again = run_toy(store=tmp_path / store, out=tmp_path / f"out-{store}")
        assert [stable(row) for row in again.rows] == [stable(row) for row in warm.rows]
        assert [stable(row) for row in again.summary] == [stable(row) for row in warm.summary]


def test_global_random_state_has_no_say_and_is_not_touched(run_toy, tmp_path):
    first = run_toy(store=tmp_path / "a", out=tmp_path / "out-a")
    random.seed(5)
    np.random.seed(5)
    state = np.random.get_state()[1].copy()
    second = run_toy(store=tmp_path / "b", out=tmp_path / "out-b")
    assert [stable(row) for row in first.rows] == [stable(row) for row in second.rows]
    assert (np.random.get_state()[1] == state).all()


def test_features_are_encoded_once_for_all_cells(run_toy):
    from toy_plugin import ToyEncoder

    before = ToyEncoder.encoded
    run_toy(disentangler="none,whiten,pca", shots="1,2,4", seeds="3")
    samples = 4 * (12 + 4 + 9)
    probes = 5  # the canary's
    assert ToyEncoder.encoded - before == samples + probes


def test_more_seeds_run_only_the_new_ones(run_toy):
    first = run_toy(seeds="2")
    texts = {row["key"] for row in first.rows}
    second = run_toy(seeds="3")
    assert texts < {row["key"] for row in second.rows}
    kept = [row for row in second.rows if row["key"] in texts]
    assert kept == list(first.rows)


def test_more_shots_run_only_the_new_ones(run_toy):
    first = {row["key"] for row in run_toy(shots="1,4").rows}
    assert first < {row["key"] for row in run_toy(shots="1,2,4").rows}


def test_equal_outcomes_have_equal_intervals(run_toy):
    summary = run_toy(disentangler="whiten,rotation", shots="8").summary
    whiten, rotation = (row for row in summary if row["cell"]["shots"])
    assert whiten["values"] == rotation["values"]
    assert whiten["interval"] == rotation["interval"]


def test_the_same_images_are_drawn_whatever_the_encoder(run_toy):
    rows = run_toy(encoder="toy,toy-image", disentangler="none").rows
    by_encoder = {}
    for row in rows:
        if row["cell"]["shots"]:
            by_encoder.setdefault(row["cell"]["encoder"], []).append(row["value"])
    # Both encoders give the same features here, so equal draws give equal values.
    assert by_encoder["toy"] == by_encoder["toy-image"]


def test_the_reference_that_needs_text_is_left_out_without_text(run_toy):
    assert all(row["cell"]["adapter"] != "zero-shot" for row in run_toy(encoder="toy-image").rows)


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"precision": "bf16"}, "encoder"),
        ({"dataset": "toy:other"}, "dataset"),
        ({"set": ["linear-probe.C=1.0"]}, "adapter"),
        ({"set": ["whiten.k=3"]}, "disentangler"),
        ({"fit_on": "shots"}, "task"),
        ({"strict": True}, "strictness"),
    ],
)
def test_whatever_can_change_a_result_changes_its_key(run_toy, changed, differs):
    base = {row["key"] for row in run_toy(disentangler="whiten", shots="4").rows if row["cell"]["shots"]}
    other = {
        row["key"]
        for row in run_toy(**{"disentangler": "whiten", "shots": "4", **changed}).rows
        if row["cell"]["shots"]
    }
    assert not base & other, differs


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        ("disentanglers/none.py", True),
        ("disentanglers/spectrum.py", True),  # what a piece does is seldom in one file
        ("metrics/accuracy.py", True),
        ("geometries/sphere.py", False),
    ],
)
def test_a_changed_source_file_changes_the_key(run_toy, monkeypatch, file, matters):
    from lpcm.study import plan

    def keys():
        plan._source_digest.cache_clear()
        return {row["key"] for row in run_toy(disentangler="none", shots="1", seeds="1").rows}

    before = keys()
    original = plan.file_digest
    monkeypatch.setattr(
        plan, "file_digest", lambda path: original(path) + ("2" if path.as_posix().endswith(file) else "")
    )
    after = keys()
    monkeypatch.undo()
    plan._source_digest.cache_clear()
    assert bool(before & after) != matters


def test_a_failing_cell_is_a_row_and_the_others_go_on(run_toy):
    run = run_toy(disentangler="explode,none")
    failed = [row for row in run.rows if row["status"] == "failed"]
    assert {row["cell"]["disentangler"] for row in failed} == {"explode"}
    assert all(
        row["error"] == {"type": "ZeroDivisionError", "message": "deliberate", "hint": ""} for row in failed
    )
    assert sum(row["status"] == "done" for row in run.rows) == 1 + 4
    assert run.exit_code == 1


def test_a_failed_cell_is_tried_again(run_toy, monkeypatch):
    monkeypatch.setenv("TOY_FORBID_ENCODING", "1")
    assert all(row["status"] == "failed" for row in run_toy().rows)
    monkeypatch.delenv("TOY_FORBID_ENCODING")
    assert all(row["status"] == "done" for row in run_toy().rows)


def test_an_encoder_without_weights_fails_alone(run_toy):
    run = run_toy(encoder="toy-missing,toy")
    statuses = {(row["cell"]["encoder"], row["status"]) for row in run.rows}
    assert statuses == {("toy-missing", "failed"), ("toy", "done")}
    assert run.exit_code == 3


def test_too_few_images_is_said_with_the_class(run_toy):
    run = run_toy(dataset="toy:small", shots="8")
    errors = {row["error"]["message"] for row in run.rows if row["status"] == "failed"}
    assert len(errors) == 1
    assert "red" in errors.pop()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("peek-block", "test block while fitting"),
        ("peek-late", "after fitting was closed"),
        ("peek-shape", "predicted shape"),
    ],
)
def test_a_task_that_cheats_is_caught(run_toy, task, message):
    (row,) = run_toy(task=task, shots=None).rows
    assert row["status"] == "failed"
    assert message in row["error"]["message"]


def test_a_flag_that_no_task_takes_is_refused(run_toy):
    with pytest.raises(UsageError, match="--shots: peek-block has no such setting"):
        run_toy(task="peek-block", shots="1")
    assert run_toy(task="peek-block,fewshot", shots="1").rows


def test_an_unreadable_image_is_counted_and_named_or_fatal(run_toy):
    run = run_toy(dataset="toy:broken", disentangler="none", shots="1", seeds="1")
    assert run.exit_code == 0
    assert any("1 unreadable images left out: train/red/0" in warning for warning in run.rows[-1]["warnings"])
    strict = run_toy(dataset="toy:broken", disentangler="none", shots="1", seeds="1", strict=True)
    assert strict.exit_code == 1
    assert "train/red/0" in strict.rows[-1]["error"]["message"]


def test_a_gpu_that_is_not_used_is_said(run_toy, monkeypatch):
    from lpcm.study import plan
    from lpcm.study.progress import Reporter

    class Notes(Reporter):
        def __init__(self):
            self.said = []

        def note(self, text):
            self.said.append(text)

    monkeypatch.setattr(plan._core, "gpus", lambda: {"gpus": [{"name": "Big GPU"}], "why_none": ""})
    notes = Notes()
    run_toy(reporter=notes, disentangler="none", shots="1", seeds="1")
    assert any("Big GPU" in text and "--device cuda" in text for text in notes.said)


def test_a_folder_that_is_no_run_is_not_written_to(run_toy, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="not the folder of a run"):
        run_toy(out=tmp_path / "mine")


def test_a_summary_pairs_each_disentangler_with_whitening(run_toy):
    summary = run_toy(disentangler="none,whiten,rotation", shots="4").summary
    by_name = {row["cell"]["disentangler"]: row for row in summary if row["cell"]["shots"]}
    assert by_name["whiten"]["difference"] is None
    assert by_name["none"]["difference"]["to"] == "whiten"
    # L2 logistic regression cannot tell a rotation from what it rotates: the same labels, up to the solver.
    assert by_name["rotation"]["difference"]["value"] == pytest.approx(0, abs=1 / 36)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_same_rows(run_toy, tmp_path):
    whole = run_toy(disentangler="none,whiten,ica", shots="1,2,4,8", seeds="3")
    arguments = [*TOY_STUDY, "--disentangler", "none,whiten,ica", "--shots", "1,2,4,8", "--seeds", "3"]
    command = [sys.executable, "-m", "lpcm.cli", "run", *arguments, "--plugin", str(TOY)]
    command += ["--store", str(tmp_path / "killed"), "--out", str(tmp_path / "out"), "--quiet"]
    moments = np.random.Generator(np.random.Philox(7)).uniform(0.3, 4.0, 10)
    kills = 0
    for moment in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills, "no kill hit the run: the moments are too late for this machine"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert [stable(row) for row in lines(tmp_path / "out" / "rows.jsonl")] == [
        stable(row) for row in whole.rows
    ]
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_two_runs_at_once_share_a_store(tmp_path):
    arguments = [*TOY_STUDY, "--disentangler", "none", "--shots", "1,2", "--seeds", "2"]
    command = [
        sys.executable,
        "-m",
        "lpcm.cli",
        "run",
        *arguments,
        "--plugin",
        str(TOY),
        "--store",
        str(tmp_path / "s"),
        "--quiet",
    ]
    processes = [
        subprocess.Popen([*command, "--out", str(tmp_path / f"out{i}")], stdout=subprocess.DEVNULL)
        for i in range(2)
    ]
    assert [p.wait() for p in processes] == [0, 0]
    first, second = (read_run(tmp_path / f"out{i}") for i in range(2))
    assert [stable(row) for row in first.rows] == [stable(row) for row in second.rows]


def test_a_done_study_is_answered_without_torch_or_scikit_learn(run_toy, tmp_path):
    run_toy(store=tmp_path / "s", disentangler="none,whiten")
    code = (
        "import sys\nfrom lpcm.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "heavy = {'torch', 'sklearn', 'open_clip'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    arguments = [*TOY_STUDY, "--disentangler", "none,whiten", "--shots", "1,2", "--seeds", "2"]
    start = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            *arguments,
            "--plugin",
            str(TOY),
            "--store",
            str(tmp_path / "s"),
            "--out",
            str(tmp_path / "o"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # The claim is 3 s on two quiet cores; ten times that still shows that nothing was computed.
    assert time.monotonic() - start < 30
