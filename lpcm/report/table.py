"""The terminal tables of a run: value, both intervals, chance, n, time. Refuses to look at anything but rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    from rich.table import Table

    fixed = f"  ({sheet.fixed})" if sheet.fixed else ""
    console.print(f"\n[bold]{sheet.title}[/bold]{fixed}", highlight=False)
    for alarm in sheet.alarms:
        console.print(f"[red]{alarm.word}[/red] {alarm.text}", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in sheet.columns:
        table.add_column(column.name, justify="right" if column.right else "left")
    for line in sheet.lines:
        table.add_row(*line)
    with _room_for(console, table):
        console.print(table, highlight=False)
    for remark in sheet.remarks:
        console.print(remark, highlight=False)


@contextmanager
def _room_for(console: Console, table: Table) -> Iterator[None]:
    """In a file a table is as wide as it needs; a terminal has the width that it has."""
    from rich.measure import Measurement

    width = console.width
    if not console.is_terminal:
        needed = Measurement.get(console, console.options.update(max_width=_ENDLESS), table).maximum
        console.width = max(width, needed)
    try:
        yield
    finally:
        console.width = width
