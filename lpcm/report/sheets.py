"""What the tables of a run say, as plain text in columns; made from rows only. Refuses to know how they are drawn.

One sheet a (task, encoder, dataset). A task that averages over an axis, such as target domains, has one line a
method with a column for each part; its other summary rows are shown only where there is no average.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]

_SMALL = 0.00005  # differences below a hundredth of a point are printed as none
_HIDDEN = ("task", "encoder", "dataset")
_NOTES = 8  # kinds of note that are printed; the others are counted
_UNMIXED = ("ica", "pca-ica")
_CONTROLS = ("none", "whiten", "rotation")

_GAPS = (
    "to source: accuracy on held-out rows of the source domains minus the average; spread: best minus worst; "
    "vs: paired difference of the averages on the same samples, * where its 95 % interval over samples is without 0."
)


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
    nulls = _named(rows, "null")
    ceilings = _named(rows, "ceiling")
    sampled = any(row["interval"].get("samples") for row in rows)
    columns = [
        *_columns(varying),
        Column(f"{_metric(rows)} %"),
        Column("found"),
        Column("95 % over seeds"),
        Column("95 % over samples"),
        *(Column(f"{name} %") for name in (*nulls, *ceilings)),
        Column("n"),
        Column("seeds"),
        Column("vs whiten"),
        Column("time"),
    ]
    lines = [
        (
            *(str(row["cell"].get(name, "")) for name in varying),
            _value(row),
            str(row["facts"].get("headline", "")),
            _span(row["interval"].get("seeds")),
            _span(row["interval"].get("samples")),
            *(_percent(row["null"].get(name), 1) for name in nulls),
            *(_percent(row["ceiling"].get(name), 1) for name in ceilings),
            # What is judged is then no sample: a count of them would mislead.
            str(row["n"]) if sampled else "",
            str(len(row["seeds"])),
            _difference(row.get("difference")),
            _duration(row["cost"]["seconds"]),
        )
        for row in rows
    ]
    columns, lines = _without_empty(columns, lines, keep=len(varying) + 1)
    remarks = [sentence] if (sentence := _verdict(rows, "")) else []
    return Sheet(title, ", ".join(fixed), _alarms(rows), tuple(columns), tuple(lines), tuple(remarks))


def _named(rows: Sequence[Row], field: str) -> list[str]:
    """Names that occur in a mapping of the rows; the commonest label's share stays in the rows."""
    return [n for n in dict.fromkeys(name for row in rows for name in row.get(field, {})) if n != "majority"]


def _percent(value: float | None, digits: int) -> str:
    return "" if value is None else f"{100 * value:.{digits}f}"


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
    chances = {f"{100 * row['null']['chance']:.1f}" for row in rows if "chance" in row["null"]}
    known = [*fixed, f"n {rows[0]['n']}"]
    if len(chances) == 1:
        known.append(f"chance {chances.pop()} %")
    columns = [
        *_columns(varying),
        *(Column(name) for name in parts),
        Column(f"average {_metric(rows)} %"),
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
    for row in rows:
        differences = {d["to"]: d for d in row["differences"]}
        gap = row["gap"]
        lines.append(
            (
                *(str(row["cell"].get(name, "")) for name in varying),
                *(
                    f"{100 * row['parts'][name]['value']:.2f}" if name in row["parts"] else ""
                    for name in parts
                ),
                _value(row),
                _span(row["interval"].get("seeds")),
                _span(row["interval"].get("samples")),
                f"{100 * row['worst']['value']:.2f}",
                f"{100 * gap['to_source']:+.2f}" if "to_source" in gap else "",
                f"{100 * gap['between']:.2f}",
                *(_difference(differences.get(name)) for name in _CONTROLS),
                str(len(row["seeds"])),
                _duration(row["cost"]["seconds"]),
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


def _value(row: Row) -> str:
    return f"{100 * row['value']:.2f}" + (" oracle" if row.get("oracle") else "")


def _span(interval: Mapping[str, Any] | None) -> str:
    return f"{100 * interval['low']:.2f} to {100 * interval['high']:.2f}" if interval else ""


def _difference(difference: Mapping[str, Any] | None) -> str:
    if not difference:
        return ""
    if abs(difference["value"]) < _SMALL and max(abs(difference["low"]), abs(difference["high"])) < _SMALL:
        return "same"
    star = "" if difference["low"] <= 0 <= difference["high"] else " *"
    return f"{100 * difference['value']:+.2f}{star}"


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


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
