"""The terminal tables of a run: value, both intervals, chance, n, time. Refuses to look at anything but rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from lpcm.report.sheets import Sheet, failures_of, notes_of, sheets_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_ENDLESS = 10_000  # columns; wider than any table


def print_run(
    console: Console, rows: Sequence[Mapping[str, Any]], summary: Sequence[Mapping[str, Any]]
) -> None:
    """Print one table a (task, encoder, dataset), then what failed and what to know.

    Args:
        console: where to.
        rows: cell rows of the run, for failures and warnings.
        summary: summary rows of the run.
    """
    for sheet in sheets_of(summary):
        _print_sheet(console, sheet)
    for note in notes_of(rows):
        console.print(f"[yellow]note[/yellow] {note}", highlight=False)
    for failure in failures_of(rows):
        console.print(f"[red]failed[/red] {failure.what}", highlight=False)
        hint = f"\n  {failure.hint}" if failure.hint else ""
        console.print(f"  {failure.message}{hint}", highlight=False, markup=False)


def _print_sheet(console: Console, sheet: Sheet) -> None:
    fixed = f"  ({sheet.fixed})" if sheet.fixed else ""
    console.print(f"\n[bold]{sheet.title}[/bold]{fixed}", highlight=False)
    for alarm in sheet.alarms:
        console.print(f"[red]{alarm.word}[/red] {alarm.text}", highlight=False)
    table = _table(sheet, [column.name for column in sheet.columns])
    if _needed(console, table) > console.width:
        table = _table(sheet, _broken(sheet))
    with _room_for(console, table):
        console.print(table, highlight=False)
    for remark in sheet.remarks:
        console.print(remark, highlight=False)


def _table(sheet: Sheet, headings: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column, heading in zip(sheet.columns, headings, strict=True):
        table.add_column(heading, justify="right" if column.right else "left", vertical="bottom")
    for line in sheet.lines:
        table.add_row(*line)
    return table


def _broken(sheet: Sheet) -> list[str]:
    """Headings on several lines, none wider than what is below it unless a word is."""
    widths = [max(map(len, texts), default=1) for texts in zip(*sheet.lines, strict=True)]
    return [
        "\n".join(wrap(column.name, max(width, 1), break_long_words=False, break_on_hyphens=False))
        for column, width in zip(sheet.columns, widths, strict=True)
    ]


def _needed(console: Console, table: Table) -> int:
    """Columns that a table takes when nothing is wrapped."""
    from rich.measure import Measurement

    return Measurement.get(console, console.options.update(max_width=_ENDLESS), table).maximum


@contextmanager
def _room_for(console: Console, table: Table) -> Iterator[None]:
    """In a file a table is as wide as it needs; a terminal has the width that it has."""
    width = console.width
    if not console.is_terminal:
        console.width = max(width, _needed(console, table))
    try:
        yield
    finally:
        console.width = width
