"""What the tables of a run say, on a terminal, in a file and as Markdown: the same numbers, made from rows alone."""

import io

import pytest
from rich.console import Console

from lpcm.report.markdown import markdown_of
from lpcm.report.sheets import failures_of, notes_of, sheets_of
from lpcm.report.table import print_run


def difference(to, low, high):
    return {"to": to, "value": (low + high) / 2, "low": low, "high": high, "p_value": 0.1}


def summary_row(**changes):
    cell = {"task": "fewshot", "encoder": "e", "dataset": "d", "disentangler": "ica", "shots": 4}
    return {
        "level": "summary",
        "cell": cell | changes.pop("cell", {}),
        "metric": "accuracy",
        "value": 0.5,
        "interval": {"seeds": {"low": 0.45, "high": 0.55}, "samples": {"low": 0.4, "high": 0.6}},
        "null": {"chance": 0.25},
        "n": 33,
        "seeds": [0, 1],
        "values": [0.45, 0.55],
        "difference": None,
        "oracle": False,
        "facts": {},
        "cost": {"seconds": 1.25},
        **changes,
    }


def pooled_row(**changes):
    cell = {
        "task": "domains",
        "encoder": "e",
        "dataset": "d",
        "rule": "training-domain",
        "disentangler": "ica",
    }
    row = summary_row(cell=changes.pop("cell", {}))
    return {
        **row,
        "level": "pooled",
        "cell": cell
        | {k: v for k, v in row["cell"].items() if k not in ("task", "shots")}
        | {"task": "domains"},
        "over": "target",
        "parts": {"photo": {"value": 0.75, "n": 17}, "sketch": {"value": 0.25, "n": 16}},
        "worst": {"name": "sketch", "value": 0.25},
        "best": {"name": "photo", "value": 0.75},
        "gap": {"between": 0.5, "to_source": 0.125},
        "differences": [],
        **changes,
    }


def part_rows(pooled):
    return [
        {**summary_row(value=part["value"]), "cell": {**pooled["cell"], "target": name}}
        for name, part in pooled["parts"].items()
    ]


def cell_row(status="done", **changes):
    row = {"status": status, "cell": {"task": "t", "seed": 3}, "warnings": [], **changes}
    return row | ({"error": {"message": "deliberate", "hint": "do this"}} if status == "failed" else {})


def column(sheet, name):
    place = [c.name for c in sheet.columns].index(name)
    return [line[place] for line in sheet.lines]


def printed(rows, summary, **console):
    out = io.StringIO()
    print_run(Console(file=out, soft_wrap=True, **console), rows, summary)
    return out.getvalue()


def test_axes_that_do_not_vary_are_said_once():
    (sheet,) = sheets_of([summary_row(), summary_row(cell={"shots": 8})])
    assert sheet.title == "fewshot: e on d"
    assert sheet.fixed == "disentangler ica, n 33, seeds 2"
    assert column(sheet, "shots") == ["4", "8"]


def test_sizes_that_differ_have_a_column():
    (sheet,) = sheets_of([summary_row(), summary_row(cell={"shots": 8}, n=31, seeds=[1], values=[0.5])])
    assert column(sheet, "n") == ["33", "31"]
    assert column(sheet, "seeds") == ["2", "1"]
    assert "n 33" not in sheet.fixed


def test_numbers_are_in_percent_with_both_intervals_and_chance():
    (sheet,) = sheets_of([summary_row()])
    assert column(sheet, "accuracy %") == ["50.00"]
    assert column(sheet, "95 % over seeds") == ["45.00 to 55.00"]
    assert column(sheet, "95 % over samples") == ["40.00 to 60.00"]
    assert column(sheet, "chance %") == ["25.0"]
    assert column(sheet, "time") == ["1.2 s"]


def test_a_row_that_saw_test_labels_is_marked_and_told_first():
    (sheet,) = sheets_of([summary_row(oracle=True), summary_row(cell={"shots": 8})])
    assert column(sheet, "accuracy %") == ["50.00 oracle", "50.00"]
    (alarm,) = sheet.alarms
    assert alarm.word == "oracle"
    assert "1 of 2" in alarm.text
    assert "not results" in alarm.text


def test_leaks_of_a_protocol_are_told_first():
    (sheet,) = sheets_of([summary_row(facts={"leaks": ["it peeks"], "protocol": "p"})])
    assert [(a.word, a.text) for a in sheet.alarms] == [("leak", "in protocol p: it peeks")]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.01, 0.03, "+2.00 *"), (-0.01, 0.03, "+1.00"), (0.0, 0.0, "same"), (-0.04, -0.02, "-3.00 *")],
)
def test_a_difference_beyond_noise_has_a_star(low, high, text):
    (sheet,) = sheets_of([summary_row(difference=difference("whiten", low, high))])
    assert column(sheet, "vs whiten") == [text]


def test_a_sentence_says_whether_ica_beats_whitening_beyond_noise():
    same = summary_row(difference=difference("whiten", -0.01, 0.01))
    (sheet,) = sheets_of([same, {**same, "cell": {**same["cell"], "shots": 8}}])
    assert sheet.remarks == (
        "ICA against PCA-whitening to the same width: no difference beyond noise in any of 2 comparisons.",
    )
    better = summary_row(cell={"shots": 8}, difference=difference("whiten", 0.01, 0.03))
    assert "better beyond noise in 1, worse in 0 of 2" in sheets_of([same, better])[0].remarks[0]
    assert (
        sheets_of([summary_row(cell={"disentangler": "pca"}, difference=same["difference"])])[0].remarks == ()
    )


def test_several_metrics_in_a_table_have_no_common_heading():
    rows = [
        summary_row(cell={"metric": "dci"}, metric="dci"),
        summary_row(cell={"metric": "mig"}, metric="mig"),
    ]
    (sheet,) = sheets_of(rows)
    assert column(sheet, "score %") == ["50.00", "50.00"]
    assert column(sheet, "metric") == ["dci", "mig"]


def test_a_task_without_encoder_or_dataset_has_its_own_table():
    row = summary_row()
    bare = {**row, "cell": {"task": "synthetic", "disentangler": "ica"}}
    assert [sheet.title for sheet in sheets_of([row, bare])] == ["fewshot: e on d", "synthetic"]


def test_a_pooled_row_has_a_column_for_each_part_and_hides_their_rows():
    row = pooled_row(
        differences=[difference("none", 0.01, 0.03), difference("whiten", -0.01, 0.02)],
        difference=difference("whiten", -0.01, 0.02),
    )
    (sheet,) = sheets_of([*part_rows(row), row])
    assert sheet.title == "domains: e on d, over 2 targets"
    assert "n 33" in sheet.fixed
    assert "chance 25.0 %" in sheet.fixed
    told = {c.name: text for c, text in zip(sheet.columns, sheet.lines[0], strict=True)}
    assert (told["photo"], told["sketch"], told["average accuracy %"]) == ("75.00", "25.00", "50.00")
    assert (told["worst"], told["to source"], told["spread"]) == ("25.00", "+12.50", "50.00")
    assert (told["vs none"], told["vs whiten"], told["vs rotation"]) == ("+2.00 *", "+0.50", "")
    assert "average over 2 targets: no difference beyond noise in any of 1" in sheet.remarks[-1]
    assert sheet.remarks[0].startswith("to source:")


def test_where_there_is_no_average_the_parts_that_are_done_are_shown():
    row = pooled_row()
    failed = {name: value for name, value in row.items() if name != "value"}
    (sheet,) = sheets_of([part_rows(row)[0], failed])
    assert sheet.title == "domains: e on d"
    assert column(sheet, "accuracy %") == ["75.00"]


def test_a_pooled_row_without_source_accuracy_or_chance_leaves_them_out():
    row = pooled_row(gap={"between": 0.5}, null={})
    (sheet,) = sheets_of([row])
    assert column(sheet, "to source") == [""]
    assert "chance" not in sheet.fixed


def test_notes_are_counted_and_failures_are_gathered_by_reason():
    rows = [cell_row(warnings=["careful"]), cell_row(warnings=["careful", "slow"]), cell_row("failed")]
    assert notes_of(rows) == ["(2 of 3 cells): careful", "(1 of 3 cells): slow"]
    (failure,) = failures_of([*rows, cell_row("failed")])
    assert failure.what == "2 of 4 cells, first: task t, seed 3"
    assert (failure.message, failure.hint) == ("deliberate", "do this")
    many = notes_of([cell_row(warnings=[f"kind {i}" for i in range(11)])])
    assert len(many) == 9
    assert many[-1] == "and 3 more kinds of note in rows.jsonl"


def test_headings_break_before_a_table_is_wider_than_the_page():
    row = summary_row(cell={"shots": 8})
    wide = printed([], [summary_row(), row], width=160)
    assert "95 % over samples" in wide
    narrow = printed([], [summary_row(), row], width=66)
    assert "95 % over samples" not in narrow
    assert max(map(len, narrow.splitlines())) <= 66
    assert "40.00 to 60.00" in narrow  # numbers stay whole


def test_in_a_file_a_table_is_as_wide_as_it_needs():
    row = pooled_row(cell={"disentangler": "a-name-that-is-rather-long-for-a-column"})
    other = pooled_row()
    text = printed([], [row, other], width=40)
    (line,) = [
        line for line in text.splitlines() if line.startswith("a-name-that-is-rather-long-for-a-column")
    ]
    assert "50.00" in line
    assert "45.00 to 55.00" in line


def test_markdown_has_the_numbers_of_the_terminal():
    row = pooled_row(differences=[difference("none", 0.01, 0.03)], oracle=True)
    rows = [cell_row(warnings=["a|b <c>"]), cell_row("failed")]
    text = markdown_of(rows, [row, summary_row(difference=difference("whiten", 0.01, 0.03))])
    on_terminal = printed(rows, [row], width=400)
    for number in ("75.00", "25.00", "50.00 oracle", "45.00 to 55.00", "+12.50"):
        assert number in on_terminal
        assert number in text
    lines = text.splitlines()
    heading = lines.index(next(line for line in lines if line.startswith("| photo")))
    assert lines[heading + 1].count("|") == lines[heading].count("|")
    assert set(lines[heading + 1]) <= set("| -:")
    assert r"+2.00 \*" in text
    assert r"a\|b \<c>" in text
    assert "- **failed** 1 of 2 cells, first: task t, seed 3: deliberate do this" in text
    assert text.endswith("\n")


def test_a_run_without_anything_done_prints_only_what_failed():
    text = printed(
        [cell_row("failed")], [{"level": "summary", "cell": {"task": "t"}, "status": "failed"}], width=80
    )
    assert text.strip().startswith("failed 1 of 1 cells")
