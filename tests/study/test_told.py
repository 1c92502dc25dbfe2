"""What a summary keeps of its cells' details: numbers, the paper's range, the unit; in older runs as well."""

import json

import pytest

from lpcm.plugin.truth import Score
from lpcm.study.run_folder import read_run
from lpcm.study.summary import summarise
from lpcm.study.told import completed, told_by

PAPER = {"low": 0.88, "high": 0.96, "said": "88 to 96"}


def cell(value=0.9, seed=0, **details):
    return {"status": "done", "key": f"k{seed}", "value": value, "details": details}


def test_numbers_are_averaged_over_the_cells_that_all_have_them():
    told = told_by([cell(top5=0.5, image={"value": 1}, only=1.0), cell(top5=1.0, image={"value": 2})])
    assert told == {"details": {"top5": 0.75, "image": {"value": 1.5}}}


def test_what_is_no_number_and_long_mappings_stay_in_the_cells():
    by_class = {f"class{i}": 0.5 for i in range(17)}
    kept = told_by([cell(text="a", flag=True, curve=[1, 2], by_class=by_class, deep={"each": {"z1": 1.0}})])
    assert kept == {"details": {}}


def test_a_row_without_details_tells_nothing():
    assert told_by([{"status": "done", "value": 0.5}]) == {"details": {}}


@pytest.mark.parametrize(
    ("values", "place", "reached"),
    [
        ((0.87, 0.88), "below", 1),
        ((0.88, 0.88), "in", 2),
        ((0.96, 0.96), "in", 2),
        ((0.87, 0.99), "in", 1),
        ((0.97, 0.96), "above", 2),
    ],
)
def test_the_mean_is_placed_beside_the_papers_range(values, place, reached):
    told = told_by([cell(value, paper=PAPER) for value in values])
    assert told["paper"] == {**PAPER, "mean": place, "reached": reached}
    assert told["details"] == {}


def test_cells_of_different_ranges_have_none_together():
    assert "paper" not in told_by([cell(paper=PAPER), cell(paper={**PAPER, "low": 0.5})])
    assert "paper" not in told_by([cell(paper="table 1")])


def test_a_summary_carries_what_is_told_and_its_unit(run_toy):
    rows = run_toy(disentangler="none", shots="1").rows
    told = [{**row, "unit": "nats", "details": {"paper": PAPER, "more": 2.0}} for row in rows]
    folder = run_toy(disentangler="none", shots="1").folder
    outcomes = {row["key"]: folder / "outcomes" / f"{row['key']}.safetensors" for row in rows}
    for row in summarise(told, outcomes):
        assert row["unit"] == "nats"
        assert row["details"] == {"more": 2.0}
        assert row["paper"]["mean"] in ("below", "in", "above")
    assert all("unit" not in row and "paper" not in row for row in summarise(rows, outcomes))


def test_a_score_is_a_share_unless_it_names_a_unit(run_toy):
    assert Score(metric="m", value=1.0).unit is None
    assert all("unit" not in row for row in run_toy(disentangler="none", shots="1").rows)


def test_summaries_of_an_older_run_are_completed_when_they_are_read(run_toy):
    run = run_toy(disentangler="none", shots="1")
    file = run.folder / "summary.jsonl"
    old = [{name: v for name, v in row.items() if name != "details"} for row in run.summary]
    file.write_text("".join(json.dumps(row) + "\n" for row in old))
    assert read_run(run.folder).summary == run.summary


def test_summaries_whose_cells_are_not_there_stay_as_they_are():
    lonely = {"level": "summary", "status": "failed", "cell": {}}
    lost = {"level": "summary", "cells": ["gone"], "cell": {}}
    assert completed([lonely, lost], [cell()]) == (lonely, lost)
