"""What a task may be scored on besides labels, and which samples are its test side."""

from pathlib import Path

import pytest

from lpcm.cli.main import main
from lpcm.plugin.host import PluginHost
from lpcm.store.inventory import damages
from lpcm.study.runner import Runner
from lpcm.study.spec import Study

PLUGIN = Path(__file__).with_name("truth_plugin.py")


@pytest.fixture(scope="module")
def host():
    return PluginHost.discover(files=[PLUGIN])


@pytest.fixture
def run(host, tmp_path):
    def carry_out(task, dataset="known", seeds="1"):
        asked = {"encoder": "words", "task": task, "dataset": dataset, "seeds": seeds}
        return Runner(host, tmp_path / "store").run(Study.parse(asked, "test"), None, tmp_path / "runs")

    return carry_out


def only(run):
    (row,) = run.rows
    assert row["status"] == "done", row["error"]
    return row


def test_captions_are_scored_against_their_owners(run):
    row = only(run("on-captions"))
    assert row["value"] == 1.0  # a caption has the features of its image
    # 4 images in each of 8 cells of the grid, and label + 1 captions each: labels 0, 1, 2 in two domains, 0, 2 in one.
    assert row["details"]["owners"] == 4 * (2 * (1 + 2 + 3) + (1 + 3))
    assert row["facts"]["train"] == row["details"]["owners"]


def test_captions_come_in_an_order_that_says_nothing(run):
    in_order = only(run("on-captions"))["details"]["in_order"]
    assert in_order < 0.7  # half of the neighbours of a shuffled list rise; sorted owners would give 1


@pytest.mark.parametrize(
    ("dataset", "said"), [("known:bare", "no captions"), ("known:gap", "1 of 32 images")]
)
def test_missing_captions_are_named(run, dataset, said):
    (row,) = run("on-captions", dataset).rows
    assert said in row["error"]["message"]


def test_factors_are_aligned_with_the_block(run):
    facts = only(run("on-factors"))["facts"]
    assert facts["names"] == ["label", "domain", "number"]
    assert [int(name[-1]) for name in facts["ids"]] == facts["numbers"]


def test_a_metric_that_is_no_mean_has_its_interval_from_draws(run):
    carried = run("on-factors", seeds="2")
    row, summary = carried.rows[0], carried.summary[0]
    assert row["interval"]["samples"]["low"] == pytest.approx(0.05)  # 2.5 % of 0 to 2
    assert row["interval"]["samples"]["high"] == pytest.approx(1.95)
    assert summary["interval"]["samples"]["high"] == pytest.approx(1.95)  # the same resamples for each seed
    assert row["ceiling"] == summary["ceiling"] == {"all": 2.0}


def test_exhibits_are_kept_beside_the_row_and_copied_to_the_run(run, tmp_path):
    carried = run("on-nothing", seeds="2")
    for row in carried.rows:
        sheet = carried.folder / "exhibits" / row["key"] / "sheet.txt"
        assert sheet.read_text() == f"seed {row['cell']['seed']}"
    assert not damages(tmp_path / "store")


def test_a_lost_exhibit_is_damage_and_is_made_again(run, tmp_path):
    row = only(run("on-nothing"))
    (kept,) = (tmp_path / "store").rglob("sheet.txt")
    kept.write_text("something else")
    assert [d.reason for d in damages(tmp_path / "store")] == ["has lost or changed its exhibit sheet.txt"]
    assert only(run("on-nothing"))["key"] == row["key"]
    assert kept.read_text() == "seed 0"


def test_a_task_chooses_its_test_side(run):
    rows = run("on-target").rows
    for row in rows:
        others = sorted({"photo", "sketch", "clay"} - {row["cell"]["target"]})
        assert row["facts"]["train"] == row["facts"]["val"] == others
        assert row["facts"]["aligned"]
    assert [row["n"] for row in rows] == [24, 24, 16]


def test_classes_that_a_target_cannot_hold_are_known_without_its_labels(run):
    allowed = {row["cell"]["target"]: row["facts"]["allowed"] for row in run("on-target").rows}
    assert allowed == {"photo": [0, 1, 2], "sketch": [0, 1, 2], "clay": [0, 2]}


def test_test_labels_are_lent_only_where_the_task_says_so_and_the_row_is_marked(run):
    refused, lent = run("on-loan", seeds="2").rows
    assert refused["status"] == "failed"
    assert refused["error"]["type"] == "SealError"
    assert lent["value"] == 1.0
    assert lent["oracle"] is True
    assert only(run("on-nothing"))["oracle"] is False


def test_the_command_runs_a_task_of_any_truth(tmp_path, capsys):
    for task in ("on-captions", "on-factors", "on-nothing", "on-target"):
        asked = ["run", "--encoder", "words", "--dataset", "known", "--task", task, "--seeds", "2"]
        places = ["--plugin", str(PLUGIN), "--store", str(tmp_path / "store"), "--out", str(tmp_path / task)]
        assert main([*asked, *places]) == 0
        assert "words on known" in capsys.readouterr().out


@pytest.fixture
def simulate(host, tmp_path):
    def carry_out(reporter=None, **fields):
        study = Study.parse({"task": "counts", "geometry": "sphere", "seeds": "2", **fields}, "test")
        return Runner(host, tmp_path / "store", reporter).run(study, None, tmp_path / "runs")

    return carry_out


def test_a_simulation_needs_neither_encoder_nor_dataset(simulate):
    rows = simulate(conditional="wide,narrow").rows
    assert [row["cell"]["conditional"] for row in rows] == ["wide", "wide", "narrow", "narrow"]
    assert all(row["status"] == "done" for row in rows)
    assert rows[0]["value"] == rows[2]["value"] != rows[1]["value"]  # its key depends on the seed alone
    assert rows[0]["facts"] == {"resumed": False, "accuracy": 1.0, "law": "vmf:1"}


def test_settings_of_a_study_reach_the_geometry(simulate):
    assert simulate(set=["sphere.conditional=vmf:7"]).rows[0]["facts"]["law"] == "vmf:7"


def test_an_interrupted_simulation_goes_on_from_its_checkpoint(simulate, tmp_path):
    stopped = simulate(set=["counts.stops=true"], seeds="1").rows[0]
    assert stopped["error"]["message"] == "stopped"
    assert list((tmp_path / "store" / "unfinished").iterdir())
    row = only(simulate(set=["counts.stops=true"], seeds="1"))
    assert row["facts"]["resumed"] is True
    assert not list((tmp_path / "store" / "unfinished").iterdir())


def test_a_simulation_tells_how_far_it_is(simulate):
    from lpcm.study.progress import Reporter

    class Listening(Reporter):
        steps = []

        def step(self, what, done, total, said):
            self.steps.append((what, done, total, said))

    simulate(Listening(), seeds="1")
    assert Listening.steps == [("counts sphere wide 0", 1, 2, "half"), ("counts sphere wide 0", 2, 2, "done")]
