"""Summaries over a pooled axis: parts count alike, differences are of the same samples, gaps are missing nothing."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from lpcm.keys import Key
from lpcm.study.summary import summarise

TARGETS = {"photo": 33, "sketch": 129, "toy": 65}
SEEDS = (0, 1, 2)
AXES = {"domains": "target"}


class Rows:
    """Cell rows with outcomes drawn around a given accuracy."""

    def __init__(self, folder):
        self.folder, self.rows, self.files = folder, [], {}

    def add(self, disentangler, share, *, targets=TARGETS, seeds=SEEDS, source=None, outcomes=None, **axes):
        for target, n in targets.items():
            for seed in seeds:
                cell = {"task": "domains", "encoder": "e", "dataset": "d", "target": target}
                cell |= {"disentangler": disentangler, "shots": "all", **axes, "seed": seed}
                key = f"row{len(self.rows)}"
                drawn = Key.of(0).fold("outcomes", target, seed).generator().random(n)  # paired by target
                x = (drawn < share[target]).astype(float) if outcomes is None else outcomes
                self.files[key] = self.folder / f"{key}.safetensors"
                save_file({"outcomes": x}, self.files[key])
                self.rows.append(
                    {
                        "level": "cell",
                        "status": "done",
                        "cell": cell,
                        "key": key,
                        "metric": "accuracy",
                        "value": float(x.mean()),
                        "null": {"chance": 0.2, "majority": 0.3},
                        "ceiling": {},
                        "n": n,
                        "selection": "s",
                        "oracle": axes.get("rule") == "oracle",
                        "facts": {} if source is None else {"source_accuracy": source},
                        "warnings": ["careful"] if seed else [],
                        "environment": {},
                        "cost": {"seconds": 0.5},
                    }
                )
        return self

    def fail(self, target, seed):
        for place, row in enumerate(self.rows):
            if (row["cell"]["target"], row["cell"]["seed"]) == (target, seed):
                error = {"type": "DataError", "message": "deliberate", "hint": ""}
                self.rows[place] = {
                    "level": "cell", "status": "failed", "cell": row["cell"], "error": error, "key": row["key"],
                }  # fmt: skip
        return self

    def pooled(self, axes=AXES):
        found = [row for row in summarise(self.rows, self.files, axes) if row["level"] == "pooled"]
        return {row["cell"]["disentangler"]: row for row in found}


@pytest.fixture
def rows(tmp_path):
    return Rows(tmp_path)


def even(value):
    return dict.fromkeys(TARGETS, value)


def test_parts_count_alike_and_worst_and_gaps_are_told(rows):
    share = {"photo": 0.9, "sketch": 0.4, "toy": 0.7}
    row = rows.add("none", share, source=0.95).pooled()["none"]
    values = {name: part["value"] for name, part in row["parts"].items()}
    assert row["value"] == pytest.approx(np.mean(list(values.values())), abs=1e-12)
    assert row["worst"] == {"name": "sketch", "value": values["sketch"]}
    assert row["best"] == {"name": "photo", "value": values["photo"]}
    assert row["gap"]["between"] == pytest.approx(values["photo"] - values["sketch"], abs=1e-12)
    assert row["gap"]["to_source"] == pytest.approx(0.95 - row["value"], abs=1e-12)
    assert row["n"] == 33 + 129 + 65
    assert "target" not in row["cell"]
    assert "seed" not in row["cell"]
    assert row["over"] == "target"
    assert row["warnings"] == ["careful"]
    assert row["cost"]["seconds"] == pytest.approx(4.5, abs=1e-12)


def test_the_gap_to_the_source_needs_it_in_every_part(rows):
    assert "to_source" not in rows.add("none", even(0.5)).pooled()["none"]["gap"]


def test_each_seed_is_averaged_over_the_parts(rows):
    row = rows.add("none", even(0.5)).pooled()["none"]
    expected = [np.mean([r["value"] for r in rows.rows if r["cell"]["seed"] == seed]) for seed in SEEDS]
    assert row["values"] == pytest.approx(expected, abs=1e-12)
    assert row["interval"]["seeds"]["low"] < row["value"] < row["interval"]["seeds"]["high"]
    assert row["interval"]["samples"]["low"] < row["value"] < row["interval"]["samples"]["high"]


def test_every_disentangler_is_compared_with_the_controls(rows):
    for name, share in (("none", 0.4), ("whiten", 0.5), ("rotation", 0.5), ("ica", 0.8)):
        rows.add(name, even(share))
    pooled = rows.pooled()
    told = {name: {d["to"]: d for d in row["differences"]} for name, row in pooled.items()}
    assert {name: list(to) for name, to in told.items()} == {
        "none": ["whiten", "rotation"],
        "whiten": ["none", "rotation"],
        "rotation": ["none", "whiten"],
        "ica": ["none", "whiten", "rotation"],
    }
    assert told["ica"]["whiten"]["low"] > 0
    assert pooled["ica"]["difference"] == told["ica"]["whiten"]
    same = told["rotation"]["whiten"]
    assert (same["value"], same["low"], same["high"], same["p_value"]) == (0.0, 0.0, 0.0, 1.0)
    by_hand = np.mean(
        [pooled["ica"]["parts"][t]["value"] - pooled["whiten"]["parts"][t]["value"] for t in TARGETS]
    )
    assert told["ica"]["whiten"]["value"] == pytest.approx(by_hand, abs=1e-12)


def test_differences_are_of_the_same_samples_within_each_part(rows):
    # Pairing: the same samples are right under both, but for a few; unpaired intervals would overlap by far.
    pooled = rows.add("whiten", even(0.50)).add("ica", even(0.56)).pooled()
    a, b = pooled["ica"]["interval"]["samples"], pooled["whiten"]["interval"]["samples"]
    assert a["low"] < b["high"]
    assert pooled["ica"]["difference"]["low"] > 0


def test_rules_and_adapters_are_compared_only_with_their_like(rows):
    rows.add("whiten", even(0.5), rule="training-domain").add("ica", even(0.9), rule="oracle")
    row = rows.pooled()["ica"]
    assert row["differences"] == []
    assert row["difference"] is None
    assert row["oracle"]


def test_the_reference_is_compared_with_nothing(rows):
    pooled = rows.add("whiten", even(0.5), shots=0).add("none", even(0.4), shots=0).pooled()
    assert pooled["none"]["differences"] == []


def test_a_part_of_which_nothing_is_done_leaves_no_average(rows):
    rows.add("none", even(0.5))
    for seed in SEEDS:
        rows.fail("sketch", seed)
    row = rows.pooled()["none"]
    assert row["status"] == "failed"
    assert row["failed"] == 3
    assert "value" not in row
    assert row["error"]["message"] == "no average over target: nothing is done for sketch: deliberate"


def test_a_failed_seed_leaves_the_others(rows):
    row = rows.add("none", even(0.5)).fail("sketch", 1).pooled()["none"]
    assert (row["status"], row["failed"], row["seeds"]) == ("partial", 1, [0, 2])
    assert len(row["values"]) == 2


def test_one_seed_has_no_interval_over_seeds(rows):
    assert rows.add("none", even(0.5), seeds=(0,)).pooled()["none"]["interval"]["seeds"] is None


def test_a_single_part_and_a_task_without_such_an_axis_are_not_pooled(rows):
    rows.add("none", even(0.5), targets={"photo": 33})
    assert rows.pooled() == {}
    assert rows.add("none", even(0.5)).pooled({}) == {}


def test_test_sides_that_do_not_belong_together_are_not_compared(rows):
    rows.add("whiten", even(0.5)).add("ica", even(0.5), targets={**TARGETS, "toy": 31})
    assert rows.pooled()["ica"]["differences"] == []
