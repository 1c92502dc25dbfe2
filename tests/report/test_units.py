"""Units of a table: shares of 1 are percent, other numbers are what they are."""

import pytest

from lpcm.report.numbers import Scale, scales_of
from lpcm.report.sheets import sheets_of

from .test_sheets import column, difference, pooled_row, summary_row

NATS = {
    "metric": "gap",
    "unit": "nats",
    "value": 0.0123456,
    "interval": {"seeds": {"low": -0.001, "high": 0.02}, "samples": None},
    "null": {"unpaired": 11.75},
}


def test_a_number_with_a_unit_is_not_printed_in_percent():
    (sheet,) = sheets_of([summary_row(**NATS)])
    assert column(sheet, "gap nats") == ["0.01235"]
    assert column(sheet, "95 % over seeds") == ["-0.00100 to 0.02000"]
    assert column(sheet, "unpaired nats") == ["11.7500"]
    assert not any(c.name.endswith(" %") for c in sheet.columns)


def test_where_units_differ_each_score_says_its_own():
    rows = [summary_row(cell={"metric": "accuracy"}), summary_row(**NATS, cell={"metric": "gap"})]
    (sheet,) = sheets_of(rows)
    assert column(sheet, "score") == ["50.00 %", "0.01235 nats"]
    assert column(sheet, "chance") == ["25.0 %", ""]
    assert column(sheet, "unpaired") == ["", "11.7500 nats"]


def test_a_pooled_row_is_in_its_unit_throughout():
    row = pooled_row(
        unit="nats",
        value=0.5,
        null={"chance": 0.25},
        differences=[difference("none", 0.01, 0.03)],
    )
    (sheet,) = sheets_of([row])
    assert "chance 0.250 nats" in sheet.fixed
    told = {c.name: text for c, text in zip(sheet.columns, sheet.lines[0], strict=True)}
    assert told["average accuracy nats"] == "0.5000"
    assert (told["photo"], told["worst"], told["spread"]) == ("0.7500", "0.2500", "0.5000")
    assert (told["to source"], told["vs none"]) == ("+0.1250", "+0.0200 *")


def test_a_ceiling_in_any_unit_has_its_share_in_percent():
    (sheet,) = sheets_of([summary_row(unit="bits", value=1.5, ceiling={"all": 2.0})])
    assert column(sheet, "all bits") == ["2.00"]
    assert column(sheet, "of ceiling %") == ["75.0"]


@pytest.mark.parametrize(
    ("values", "decimals"),
    [([0.0123], 5), ([0.5, 12.0], 2), ([1.0], 3), ([9999.4], 0), ([123456.0], 0), ([0.0], 3), ([1e-30], 8)],
)
def test_the_largest_number_has_four_digits_that_count(values, decimals):
    scales = scales_of([{"unit": "nats", "value": value} for value in values])
    assert {scale.decimals for scale in scales} == {decimals}


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(-0.00004, 0.00004, "same"), (-0.001, 0.001, "+0.0000"), (0.1, 0.3, "+0.2000 *")],
)
def test_what_would_print_as_no_difference_is_none_in_any_unit(low, high, text):
    assert Scale("nats", 1, 4, named=False).difference(difference("whiten", low, high)) == text


def test_zero_has_no_sign():
    share = Scale("%", 100, 2, named=False)
    assert share.score(-0.00001) == "0.00"
    assert share.rough(-0.0002) == "0.0"
    assert share.score(-0.0002) == "-0.02"
