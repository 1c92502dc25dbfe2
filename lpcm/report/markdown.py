"""The tables of a run as Markdown, for a page or a pull request. Refuses to look at anything but rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lpcm.report.sheets import Sheet, failures_of, notes_of, sheets_of


def markdown_of(rows: Sequence[Mapping[str, Any]], summary: Sequence[Mapping[str, Any]]) -> str:
    """One table a (task, encoder, dataset), then what failed and what to know.

    Args:
        rows: cell rows of the run, for failures and warnings.
        summary: summary rows of the run.
    """
    blocks = [block for sheet in sheets_of(summary) for block in _blocks(sheet)]
    notes = [f"- note {_plain(note)}" for note in notes_of(rows)]
    failures = [
        f"- **failed** {_plain(failure.what)}: {_plain(failure.message)} {_plain(failure.hint)}".rstrip()
        for failure in failures_of(rows)
    ]
    if notes or failures:
        blocks.append("\n".join([*failures, *notes]))
    return "\n\n".join(blocks) + "\n"


def _blocks(sheet: Sheet) -> list[str]:
    fixed = f" ({_plain(sheet.fixed)})" if sheet.fixed else ""
    table = [
        _line([column.name for column in sheet.columns]),
        _line(["---:" if column.right else "---" for column in sheet.columns]),
        *(_line([_plain(text) for text in line]) for line in sheet.lines),
    ]
    return [
        f"**{_plain(sheet.title)}**{fixed}",
        *(f"**{alarm.word}** {_plain(alarm.text)}" for alarm in sheet.alarms),
        "\n".join(table),
        *(_plain(remark) for remark in sheet.remarks),
    ]


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _plain(text: str) -> str:
    r"""The text with what Markdown would read as its own put behind a backslash.

    Example:
        >>> _plain("a|b *")
        'a\\|b \\*'
    """
    for mark in "\\|*_`<":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
