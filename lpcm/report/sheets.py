"""What the tables of a run say, as plain text in columns; made from rows only. Refuses to know how they are drawn.

One sheet a (task, encoder, dataset). A task that averages over an axis, such as target domains, has one line a
method with a column for each part; its other summary rows are shown only where there is no average.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any

from lpcm.report.numbers import Row, Scale, duration, headed, scales_of

_BLIND = 0.0005  # of a null to its score: half of the last digit that is printed
_HIDDEN = ("task", "encoder", "dataset")
_NOTES = 8  # kinds of note that are printed; the others are counted
_UNMIXED = ("ica", "pca-ica")
_CONTROLS = ("none", "whiten", "rotation")
_OWN_LATENTS = "own_latents_from_codes"  # detail of simulations whose sides have latents of their own

_GAPS = (
    "to source: accuracy on held-out rows of the source domains minus the average; spread: best minus worst; "
    "vs: paired difference of the averages on the same samples, * where its 95 % interval over samples is without 0."
)

_SAID = {
    "paper": "where the mean lies beside the range that the paper gives for such rows; seeds at it: how many score its "
    "lower end or more.",
    "leak": "R^2 of what one side alone has, from its codes, mean over seeds of the worse side; 0 or just below "
    "where nothing leaks.",
}
"""What is said below a table, by the heading that it explains."""


@dataclass(frozen=True)
class Alarm:
    """What must be known before a number is believed.

    Args:
        word: what kind of thing.
        text: what it is.
    """

    word: str
    text: str


@dataclass(frozen=True)
class Column:
    """Heading of a column.

    Args:
        name: what is in it.
        right: whether it holds numbers.
    """

    name: str
    right: bool = True


@dataclass(frozen=True)
class Sheet:
    """One table.

    Args:
        title: what it is of.
        fixed: what all its lines have in common; may be empty.
        alarms: what must be known first.
        columns: headings.
        lines: texts, one a column.
        remarks: sentences below it.
    """

    title: str
    fixed: str
    alarms: tuple[Alarm, ...]
    columns: tuple[Column, ...]
    lines: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """Cells that failed in the same way."""

    what: str
    message: str
    hint: str


def sheets_of(summary: Sequence[Row]) -> list[Sheet]:
    """The tables of a run.

    Args:
        summary: its summary rows, those over an axis included.
    """
    groups: dict[str, list[Row]] = {}
    for row in summary:
        groups.setdefault(_title(row["cell"]), []).append(row)
    found = []
    for title, members in groups.items():
        pooled = [row for row in members if row["level"] == "pooled" and "value" in row]
        single = [row for row in members if row["level"] != "pooled" and "value" in row]
        if single := [row for row in single if not _is_part(row, pooled)]:
            found.append(_single(title, single))
        if pooled:
            found.append(_pooled(title, pooled))
    return found


def notes_of(rows: Sequence[Row]) -> list[str]:
    """Warnings of the cell rows, the commonest first."""
    counts = Counter(warning for row in rows for warning in row.get("warnings", ()))
    said = [f"({count} of {len(rows)} cells): {warning}" for warning, count in counts.most_common(_NOTES)]
    if len(counts) > _NOTES:
        said.append(f"and {len(counts) - _NOTES} more kinds of note in rows.jsonl")
    return said


def failures_of(rows: Sequence[Row]) -> list[Failure]:
    """Cell rows that failed, by their reason."""
    failures: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["status"] == "failed":
            failures.setdefault((row["error"]["message"], row["error"]["hint"]), []).append(row)
    return [
        Failure(
            f"{len(failed)} of {len(rows)} cells, first: "
            + ", ".join(f"{name} {value}" for name, value in failed[0]["cell"].items()),
            message,
            hint,
        )
        for (message, hint), failed in failures.items()
    ]


def _single(title: str, rows: Sequence[Row]) -> Sheet:
    varying, fixed = _axes(rows)
    scales = scales_of(rows)
    nulls, blind = _nulls(rows)
    ceilings = _named(rows, "ceiling")
    shared, differing = _sizes(rows)
    columns = [
        *_columns(varying),
        Column(headed(_metric(rows), scales)),
        Column("std"),
        Column("lowest seed"),
        Column("found"),
        Column("95 % over seeds"),
        Column("95 % over samples"),
        *(Column(headed(name, scales)) for name in (*nulls, *ceilings)),
        Column("of ceiling %" if len(ceilings) == 1 else ""),
        Column(headed("paper", scales)),
        Column("seeds at it"),
        Column(headed("leak", scales)),
        *(Column(name) for name in differing),
        Column("vs whiten"),
        Column("time"),
    ]
    lines = [
        (
            *(str(row["cell"].get(name, "")) for name in varying),
            _value(row, scale),
            *_of_trainings(row, scale),
            str(row["facts"].get("headline", "")),
            scale.span(row["interval"].get("seeds")),
            scale.span(row["interval"].get("samples")),
            *(scale.rough(row["null"].get(name)) for name in nulls),
            *(scale.rough(row["ceiling"].get(name)) for name in ceilings),
            _share(row, ceilings),
            *_beside(row.get("paper"), len(row["seeds"]), scale),
            _leaked(row, scale),
            *(_SIZES[name](row) for name in differing),
            scale.difference(row.get("difference")),
            duration(row["cost"]["seconds"]),
        )
        for row, scale in zip(rows, scales, strict=True)
    ]
    columns, lines = _without_empty(columns, lines, keep=len(varying) + 1)
    told = {column.name for column in columns}
    remarks = [f"{name}: {said}" for name, said in _SAID.items() if headed(name, scales) in told]
    remarks += [sentence] if (sentence := _verdict(rows, "")) else []
    known = [*fixed, *(f"{name} scores the same" for name in blind), *shared]
    return Sheet(title, ", ".join(known), _alarms(rows), tuple(columns), tuple(lines), tuple(remarks))


def _named(rows: Sequence[Row], field: str) -> list[str]:
    """Names that occur in a mapping of the rows; the commonest label's share stays in the rows."""
    return [n for n in dict.fromkeys(name for row in rows for name in row.get(field, {})) if n != "majority"]


def _nulls(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Names of the nulls, and of those that every row scores as high as its value: the metric is blind to them."""
    names = _named(rows, "null")
    blind = [
        name
        for name in names
        if all(abs(row["null"].get(name, math.inf) - row["value"]) < _BLIND for row in rows)
    ]
    return [name for name in names if name not in blind], blind


def _count(row: Row) -> str:
    """Test samples; empty where something else is judged, since a count of them would mislead."""
    return str(row["n"]) if row["interval"].get("samples") else ""


_SIZES: Mapping[str, Callable[[Row], str]] = {"n": _count, "seeds": lambda row: str(len(row["seeds"]))}


def _sizes(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Sizes that all rows share, as text, and the names of those that differ."""
    shared, differing = [], []
    for name, of in _SIZES.items():
        texts = {of(row) for row in rows}
        if len(texts) > 1:
            differing.append(name)
        elif text := texts.pop():
            shared.append(f"{name} {text}")
    return shared, differing


def _of_trainings(row: Row, scale: Scale) -> tuple[str, str]:
    """Standard deviation and lowest of several seeds, where each is a training of its own: none is averaged away."""
    if "dataset" in row["cell"] or len(row["values"]) < 2:
        return "", ""
    return scale.score(stdev(row["values"])), scale.score(min(row["values"]))


def _share(row: Row, ceilings: Sequence[str]) -> str:
    """The score as a share of the only ceiling; empty where there are several, or none to speak of."""
    if len(ceilings) != 1 or not row["ceiling"].get(ceilings[0], 0) > 0:
        return ""
    return f"{100 * row['value'] / row['ceiling'][ceilings[0]]:.1f}"


def _beside(paper: Mapping[str, Any] | None, seeds: int, scale: Scale) -> tuple[str, str]:
    """Where the mean lies beside the paper's range, and how many seeds reach it."""
    if not paper:
        return "", ""
    return f"{paper['mean']} {scale.rough_span(paper)}", f"{paper['reached']} of {seeds}"


def _leaked(row: Row, scale: Scale) -> str:
    """How well codes predict what only their own side knows; the worse of both sides."""
    sides = row.get("details", {}).get(_OWN_LATENTS, {})
    return scale.score(max(sides.values())) if sides else ""


def _without_empty(
    columns: list[Column], lines: list[tuple[str, ...]], keep: int
) -> tuple[list[Column], list[tuple[str, ...]]]:
    """Columns that say something in some line, and the first ``keep``."""
    told = [i for i in range(len(columns)) if i < keep or any(line[i] for line in lines)]
    return [columns[i] for i in told], [tuple(line[i] for i in told) for line in lines]


def _pooled(title: str, rows: Sequence[Row]) -> Sheet:
    over = rows[0]["over"]
    varying, fixed = _axes(rows)
    parts = list(dict.fromkeys(name for row in rows for name in row["parts"]))
    scales = scales_of(rows)
    chances = {
        scale.rough(row["null"]["chance"])
        for row, scale in zip(rows, scales, strict=True)
        if "chance" in row["null"]
    }
    known = [*fixed, f"n {rows[0]['n']}"]
    if len(chances) == 1:
        known.append(headed(f"chance {chances.pop()}", scales))
    columns = [
        *_columns(varying),
        *(Column(name) for name in parts),
        Column(headed(f"average {_metric(rows)}", scales)),
        Column("95 % over seeds"),
        Column("95 % over samples"),
        Column("worst"),
        Column("to source"),
        Column("spread"),
        *(Column(f"vs {name}") for name in _CONTROLS),
        Column("seeds"),
        Column("time"),
    ]
    lines = []
    for row, scale in zip(rows, scales, strict=True):
        differences = {d["to"]: d for d in row["differences"]}
        gap = row["gap"]
        lines.append(
            (
                *(str(row["cell"].get(name, "")) for name in varying),
                *(scale.score(row["parts"][name]["value"]) if name in row["parts"] else "" for name in parts),
                _value(row, scale),
                scale.span(row["interval"].get("seeds")),
                scale.span(row["interval"].get("samples")),
                scale.score(row["worst"]["value"]),
                scale.change(gap["to_source"]) if "to_source" in gap else "",
                scale.score(gap["between"]),
                *(scale.difference(differences.get(name)) for name in _CONTROLS),
                str(len(row["seeds"])),
                duration(row["cost"]["seconds"]),
            )
        )
    remarks = [_GAPS]
    if sentence := _verdict(rows, f", average over {len(parts)} {over}s"):
        remarks.append(sentence)
    return Sheet(
        f"{title}, over {len(parts)} {over}s",
        ", ".join(known),
        _alarms(rows),
        tuple(columns),
        tuple(lines),
        tuple(remarks),
    )


def _title(cell: Mapping[str, Any]) -> str:
    """What a table is of; a task that simulates its data has neither encoder nor dataset."""
    where = [str(cell[name]) for name in ("encoder", "dataset") if name in cell]
    return f"{cell['task']}: {' on '.join(where)}" if where else str(cell["task"])


def _is_part(row: Row, pooled: Sequence[Row]) -> bool:
    """Whether a row is shown in a column of a pooled one."""
    return any(
        {name: value for name, value in row["cell"].items() if name != whole["over"]} == whole["cell"]
        for whole in pooled
    )


def _axes(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Axes that vary, and what the others are fixed at."""
    names = list(dict.fromkeys(name for row in rows for name in row["cell"] if name not in _HIDDEN))
    varying = [name for name in names if len({str(row["cell"].get(name)) for row in rows}) > 1]
    return varying, [f"{name} {rows[0]['cell'][name]}" for name in names if name not in varying]


def _columns(varying: Sequence[str]) -> list[Column]:
    return [Column(name, right=name == "shots") for name in varying]


def _metric(rows: Sequence[Row]) -> str:
    metrics = {row["metric"] for row in rows}
    return str(rows[0]["metric"]) if len(metrics) == 1 else "score"


def _alarms(rows: Sequence[Row]) -> tuple[Alarm, ...]:
    leaks = dict.fromkeys(leak for row in rows for leak in row["facts"].get("leaks", ()))
    protocol = rows[-1]["facts"].get("protocol")
    alarms = [Alarm("leak", f"in protocol {protocol}: {leak}") for leak in leaks]
    if oracles := sum(bool(row.get("oracle")) for row in rows):
        alarms.append(
            Alarm(
                "oracle",
                f"lines ({oracles} of {len(rows)}): settings were chosen on the labels of the very samples that are "
                "scored: upper bounds, not results",
            )
        )
    return tuple(alarms)


def _value(row: Row, scale: Scale) -> str:
    return scale.score(row["value"]) + (" oracle" if row.get("oracle") else "")


def _verdict(rows: Sequence[Row], where: str) -> str:
    """Whether ICA beats whitening beyond noise, in a sentence."""
    compared = [row for row in rows if row.get("difference") and row["cell"].get("disentangler") in _UNMIXED]
    if not compared:
        return ""
    above = sum(row["difference"]["low"] > 0 for row in compared)
    below = sum(row["difference"]["high"] < 0 for row in compared)
    if above == below == 0:
        return (
            f"ICA against PCA-whitening to the same width{where}: no difference beyond noise "
            f"in any of {len(compared)} comparisons."
        )
    return (
        f"ICA against PCA-whitening{where}: better beyond noise in {above}, worse in {below} of {len(compared)} "
        "comparisons (* marks a 95 % interval of the paired difference without 0)."
    )
