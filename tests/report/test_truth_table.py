"""Tables of latents that are known: a seed that failed is seen, and paper, ceiling and leaks are told."""

import pytest

from lpcm.report.markdown import markdown_of
from lpcm.report.sheets import sheets_of

from .test_sheets import column, printed, summary_row

PAPER = {"low": 0.994, "high": 0.996, "said": "99.5 +- 0.1", "mean": "below", "reached": 1}


def known(conditional="vmf:10", **changes):
    cell = {"task": "identifiability", "geometry": "sphere", "conditional": conditional}
    row = summary_row(
        metric="r2",
        value=0.93,
        null={"permutation": -0.0002, "rotation": 0.93, "identity": 0.68},
        ceiling={"supervised": 0.96875},
        seeds=[0, 1, 2],
        values=[0.9, 0.8, 0.995],
        details={"own_latents_from_codes": {"image": -0.0003, "text": 0.0125}},
        paper=PAPER,
    )
    return {**row, "cell": cell, **changes}


def test_a_seed_that_failed_is_seen_beside_the_mean():
    (sheet,) = sheets_of([known()])
    assert column(sheet, "r2 %") == ["93.00"]
    assert column(sheet, "lowest seed") == ["80.00"]
    assert column(sheet, "std") == ["9.75"]  # of 90, 80 and 99.5, divided by two


def test_where_a_seed_is_a_draw_of_samples_or_the_only_one_its_score_is_no_column():
    for row in (summary_row(), known(seeds=[0], values=[0.93])):
        assert not {"std", "lowest seed"} & {c.name for c in sheets_of([row])[0].columns}


def test_the_papers_range_says_where_the_mean_lies_and_how_many_seeds_reach_it():
    above = known("normal:0.05", paper={**PAPER, "low": 0.885, "high": 0.9, "mean": "above", "reached": 2})
    none = known("laplace:0.05", paper=None)
    (sheet,) = sheets_of([known(), above, none])
    assert column(sheet, "paper %") == ["below 99.4 to 99.6", "above 88.5 to 90.0", ""]
    assert column(sheet, "seeds at it") == ["1 of 3", "2 of 3", ""]
    assert any(remark.startswith("paper: ") for remark in sheet.remarks)


def test_leaks_are_those_of_the_worse_side_and_the_ceiling_has_its_share():
    (sheet,) = sheets_of([known()])
    assert column(sheet, "leak %") == ["1.25"]
    assert column(sheet, "supervised %") == ["96.9"]
    assert column(sheet, "of ceiling %") == ["96.0"]
    assert any(remark.startswith("leak: ") for remark in sheet.remarks)


@pytest.mark.parametrize("ceiling", [{"a": 0.9, "b": 0.8}, {"a": 0.0}, {"a": -0.2}])
def test_there_is_no_share_of_several_ceilings_or_of_none_to_speak_of(ceiling):
    (sheet,) = sheets_of([known(ceiling=ceiling)])
    assert "of ceiling %" not in [c.name for c in sheet.columns]


def test_a_null_that_a_metric_is_blind_to_is_said_once():
    (sheet,) = sheets_of([known()])
    assert "rotation scores the same" in sheet.fixed
    assert "rotation %" not in [c.name for c in sheet.columns]
    seen = known("laplace:0.1", null={"permutation": 0.0, "rotation": 0.6, "identity": 0.4})
    (sheet,) = sheets_of([known(), seen])  # blind in one row only
    assert column(sheet, "rotation %") == ["93.0", "60.0"]


def test_a_row_of_an_older_run_has_no_such_columns_and_still_shows():
    old = {name: value for name, value in known().items() if name not in ("paper", "details")}
    (sheet,) = sheets_of([old])
    assert column(sheet, "r2 %") == ["93.00"]
    assert {"paper %", "leak %"}.isdisjoint(c.name for c in sheet.columns)
    assert sheet.remarks == ()


def test_the_widest_table_of_a_study_fits_170_columns():
    rows = []
    for marginal in ("laplace:1", "normal:1"):
        for conditional in ("laplace:0.05", "normal:0.05"):
            row = known(conditional, cost={"seconds": 5 * 850})
            paper = {**PAPER, "low": 0.885, "high": 0.963, "mean": "above"}
            cell = {"task": "identifiability", "geometry": "sphere", "marginal": marginal}
            rows.append({**row, "cell": {**cell, "conditional": conditional}, "paper": paper})
    text = printed([], rows, width=170)
    table = [line for line in text.splitlines() if line.startswith(("laplace:1 ", "normal:1 "))]
    assert len(table) == 4
    assert max(map(len, table)) <= 170
    for said in (
        "93.00",
        "80.00",
        "45.00 to 55.00",
        "96.0",
        "above 88.5 to 96.3",
        "1 of 3",
        "1.25",
        "70.8 min",
    ):
        assert all(said in line for line in table)
        assert said in markdown_of([], rows)
