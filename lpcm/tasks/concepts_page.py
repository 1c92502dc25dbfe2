"""The tables and the page of a cell's concepts. Refuses scripts and whatever is not beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

SCHEMA = "lpcm.concepts/1"

OVERVIEW = "overview.jpg"


def sheet_name(place: int) -> str:
    """File name of a component's sheet."""
    return f"component-{place:03d}.jpg"


def as_json(about: Mapping[str, Any], components: Sequence[Mapping[str, Any]]) -> bytes:
    """All numbers as JSON."""
    content = {"schema": SCHEMA, "about": about, "components": components}
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def as_csv(components: Sequence[Mapping[str, Any]]) -> bytes:
    """All numbers as a table, a line a component; of texts and images the names alone, joined by ``;``."""
    columns = list(dict.fromkeys(name for component in components for name in component))
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(columns)
    for component in components:
        table.writerow([_cell(component.get(name)) for name in columns])
    return buffer.getvalue().encode()


def as_page(
    title: str,
    sentences: Sequence[str],
    components: Sequence[Mapping[str, Any]],
    sheets: Sequence[int],
    overview: bool,
) -> bytes:
    """A page that needs nothing but the files beside it.

    Args:
        title: of the page.
        sentences: what the reader should know first.
        components: what is known of each, in the order of the table.
        sheets: components that have a sheet.
        overview: whether there is an overview.
    """
    parts = [_HEAD.format(title=escape(title)), f"<h1>{escape(title)}</h1>"]
    parts += [f"<p>{escape(sentence)}</p>" for sentence in sentences]
    if overview:
        parts.append(
            f'<p><a href="{OVERVIEW}"><img src="{OVERVIEW}" alt="overview of the components"></a></p>'
        )
    for place in sheets:
        name = sheet_name(place)
        parts.append(
            f'<section id="component-{place}"><h2>Component {place}</h2>'
            f'<img src="{name}" alt="images along component {place}" loading="lazy"></section>'
        )
    parts.append(_table(components, frozenset(sheets)))
    parts.append(
        '<p>All numbers: <a href="concepts.csv">concepts.csv</a>, <a href="concepts.json">concepts.json</a>.</p>'
        "</main></body></html>\n"
    )
    return "\n".join(parts).encode()


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #212121; background: #fff; margin: 2rem; }}
main {{ max-width: 1100px; margin: auto; }}
img {{ max-width: 100%; border: 1px solid #d6d6d6; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #e6e6e6; vertical-align: top; }}
td.text, th.text {{ text-align: left; }}
tr.not td {{ color: #6e6e6e; }}
</style></head><body><main>"""

_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("agreement", "agreement", "{:.3f}"),
    ("nongaussianity", "non-Gaussianity", "{:.4f}"),
    ("kurtosis", "excess kurtosis", "{:.2f}"),
    ("hoyer", "Hoyer", "{:.3f}"),
    ("gini", "Gini", "{:.3f}"),
    ("active", "active", "{:.3f}"),
    ("class_told", "class told", "{:.3f}"),
    ("class_purity", "class purity", "{:.2f}"),
    ("domain_told", "domain told", "{:.3f}"),
    ("text_image_correlation", "texts with images", "{:+.2f}"),
)


def _table(components: Sequence[Mapping[str, Any]], sheets: frozenset[int]) -> str:
    shown = [column for column in _COLUMNS if any(c.get(column[0]) is not None for c in components)]
    texts = any("upper_texts" in c for c in components)
    head = "".join(f"<th>{escape(name)}</th>" for _, name, _ in shown)
    words = '<th class="text">nearest texts, upper</th><th class="text">lower</th>' if texts else ""
    lines = [f'<table><tr><th>component</th><th class="text">identified</th>{head}{words}</tr>']
    for component in components:
        place = component["component"]
        name = f'<a href="#component-{place}">{place}</a>' if place in sheets else str(place)
        cells = [f'<td>{name}</td><td class="text">{"yes" if component["identified"] else "no"}</td>']
        cells += [f"<td>{_number(component.get(key), form)}</td>" for key, _, form in shown]
        if texts:
            cells += [
                f'<td class="text">{escape(text_line(component, end))}</td>' for end in ("upper", "lower")
            ]
        kind = "" if component["identified"] else ' class="not"'
        lines.append(f"<tr{kind}>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table>"])


def text_line(component: Mapping[str, Any], end: str, count: int = 3) -> str:
    """The nearest texts of an end in a line; a star says that they stand out. Empty where there are no texts.

    Args:
        component: what is known of it.
        end: ``"upper"`` or ``"lower"``.
        count: texts at most.
    """
    texts = component.get(f"{end}_texts")
    if not texts:
        return ""
    star = "* " if component[f"{end}_text_stands_out"] else ""
    return star + ", ".join(f"{near['text']} {near['score']:.1f}" for near in texts[:count])


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ";".join(str(part.get("text", part.get("id"))) for part in value)
    return "" if value is None else value
