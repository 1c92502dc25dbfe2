"""Writes one page a metric from the card in its code: ``python docs/metrics/generate.py``.

``tests/metrics/test_cards.py`` fails when a page is behind. Refuses to write anything but cards and the index's table.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from lpcm.metrics.records import RECORDS
from lpcm.plugin.records import MetricRecord

FOLDER = Path(__file__).resolve().parent
_TABLE = re.compile(r"(<!-- generated: cards -->\n).*?(<!-- end -->)", re.DOTALL)


def card(record: MetricRecord) -> str:
    """The card of a built-in metric."""
    module, _, attribute = record.loader.partition(":")
    text: str = getattr(import_module(module), attribute)().card
    return text


def pages() -> dict[Path, str]:
    """What every page of a card should hold."""
    return {FOLDER / f"{record.name}.md": card(record) for record in RECORDS}


def index() -> str:
    """The index with its table made anew."""
    rows = ["| name | what it asks | range |", "|---|---|---|"]
    for record in RECORDS:
        low, high = (f"{end:g}".replace("inf", "∞") for end in record.range)
        rows.append(f"| [`{record.name}`]({record.name}.md) | {record.summary} | {low} to {high} |")
    text = (FOLDER / "index.md").read_text(encoding="utf-8")
    return _TABLE.sub(lambda match: match[1] + "\n" + "\n".join(rows) + "\n\n" + match[2], text)


def main() -> None:
    """Rewrite cards and index."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    (FOLDER / "index.md").write_text(index(), encoding="utf-8")


if __name__ == "__main__":
    main()
