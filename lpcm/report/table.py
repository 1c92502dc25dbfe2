"""The terminal table of a run: value, both intervals, chance, n, time; made from summary rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_SMALL = 0.00005  # differences below a hundredth of a point are printed as none


def print_run(
    console: Console, rows: Sequence[Mapping[str, Any]], summary: Sequence[Mapping[str, Any]]
) -> None:
    """Print one table a (task, encoder, dataset), then what failed and what to know.

    Args:
        console: where to.
        rows: cell rows of the run, for failures and warnings.
        summary: summary rows of the run.
    """
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in summary:
        cell = row["cell"]
        groups.setdefault((cell["task"], cell["encoder"], cell["dataset"]), []).append(row)
    for (task, encoder, dataset), members in groups.items():
        _print_group(console, f"{task}: {encoder} on {dataset}", members)
    _print_warnings(console, rows)
    _print_failures(console, rows)


def _print_group(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    done = [row for row in rows if "value" in row]
    if not done:
        return
    hidden = {"task", "encoder", "dataset"}
    names = list(dict.fromkeys(name for row in done for name in row["cell"] if name not in hidden))
    varying = [name for name in names if len({str(row["cell"].get(name)) for row in done}) > 1]
    fixed = [f"{name} {done[0]['cell'][name]}" for name in names if name not in varying]
    console.print(f"\n[bold]{title}[/bold]" + (f"  ({', '.join(fixed)})" if fixed else ""), highlight=False)

    for leak in dict.fromkeys(leak for row in done for leak in row["facts"].get("leaks", ())):
        console.print(
            f"[red]leak[/red] in protocol {done[-1]['facts'].get('protocol')}: {leak}", highlight=False
        )
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in varying:
        table.add_column(name, justify="right" if name == "shots" else "left")
    for heading in (
        f"{done[0]['metric']} %",
        "95 % over seeds",
        "95 % over samples",
        "chance %",
        "n",
        "seeds",
        "vs whiten",
        "time",
    ):
        table.add_column(heading, justify="right")
    for row in done:
        table.add_row(
            *(str(row["cell"].get(name, "")) for name in varying),
            f"{100 * row['value']:.2f}",
            _span(row["interval"].get("seeds")),
            _span(row["interval"].get("samples")),
            f"{100 * row['null']['chance']:.1f}" if "chance" in row["null"] else "",
            str(row["n"]),
            str(len(row["seeds"])),
            _difference(row.get("difference")),
            _duration(row["cost"]["seconds"]),
        )
    console.print(table, highlight=False)
    if sentence := _verdict(done):
        console.print(sentence, highlight=False)


def _span(interval: Mapping[str, Any] | None) -> str:
    return f"{100 * interval['low']:.2f} to {100 * interval['high']:.2f}" if interval else ""


def _difference(difference: Mapping[str, Any] | None) -> str:
    if not difference:
        return ""
    if abs(difference["value"]) < _SMALL and max(abs(difference["low"]), abs(difference["high"])) < _SMALL:
        return "same"
    star = "" if difference["low"] <= 0 <= difference["high"] else " *"
    return f"{100 * difference['value']:+.2f}{star}"


def _verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether ICA beats whitening beyond noise, in a sentence."""
    compared = [
        row for row in rows if row.get("difference") and row["cell"].get("disentangler") in ("ica", "pca-ica")
    ]
    if not compared:
        return ""
    above = sum(row["difference"]["low"] > 0 for row in compared)
    below = sum(row["difference"]["high"] < 0 for row in compared)
    if above == below == 0:
        return (
            "ICA against PCA-whitening to the same width: no difference beyond noise "
            f"in any of {len(compared)} comparisons."
        )
    return (
        f"ICA against PCA-whitening: better beyond noise in {above}, worse in {below} of {len(compared)} comparisons "
        "(* marks a 95 % interval of the paired difference without 0)."
    )


def _print_warnings(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    counts = Counter(warning for row in rows for warning in row.get("warnings", ()))
    for warning, count in counts.most_common(8):
        console.print(f"[yellow]note[/yellow] ({count} of {len(rows)} cells): {warning}", highlight=False)
    if len(counts) > 8:
        console.print(f"... and {len(counts) - 8} more kinds of note in rows.jsonl", highlight=False)


def _print_failures(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    failures: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["status"] == "failed":
            failures.setdefault((row["error"]["message"], row["error"]["hint"]), []).append(row)
    for (message, hint), failed in failures.items():
        first = ", ".join(f"{name} {value}" for name, value in failed[0]["cell"].items())
        console.print(
            f"[red]failed[/red] {len(failed)} of {len(rows)} cells, first: {first}", highlight=False
        )
        console.print(f"  {message}" + (f"\n  {hint}" if hint else ""), highlight=False, markup=False)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
