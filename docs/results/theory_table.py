"""Prints rows of the task `identifiability` as a Markdown table, one line a cell and one a mean over seeds.

    python docs/results/theory_table.py RUN [RUN ...]

RUN is a folder that `lpcm-eval` wrote. Refuses to leave out a seed: every row that is done is in the table, whatever it
scored.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lpcm.study.told import told_by

HEADER = (
    "space", "marginal, conditional", "m", "steps", "metric", "seeds", "value %", "lowest latent %", "rotation %",
    "identity %", "supervised %", "of ceiling %", "paper %", "seeds at it", "R^2 of own latents %", "scale, theory",
    "minutes",
)  # fmt: skip


def main(runs: Sequence[str]) -> None:
    """Print the table of these runs."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for run in runs:
        for line in (Path(run) / "rows.jsonl").read_text().splitlines():
            row = json.loads(line)
            if row["level"] == "cell" and row["status"] == "done":
                facts = row["facts"]
                laws = ", ".join(law for law in facts["laws"].values())
                space = row["cell"]["geometry"] + (", free head" if facts.get("head") == "free" else "")
                like = (facts["similarity"], facts["m"], facts["steps"], row["metric"])
                groups.setdefault((f"{space}, {like[0]}", laws, *like[1:]), []).append(row)
    print("|" + "|".join(HEADER) + "|")
    print("|" + "---|" * len(HEADER))
    for names, rows in groups.items():
        rows.sort(key=lambda row: row["cell"]["seed"])
        for chosen in [[row] for row in rows] + ([rows] if len(rows) > 1 else []):
            print("|" + "|".join(map(str, (*names, *_figures(chosen)))) + "|")


def _figures(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    details = [row["details"] for row in rows]
    known = told_by(rows).get("paper")
    own = [v for d in details for v in d.get("own_latents_from_codes", {}).values()]
    latents = [v for d in details for side in ("image", "text") for v in d[side]["per_latent"].values()]
    ends, asked = zip(
        *((row["facts"]["scale"]["end"], row["facts"]["scale"]["theory"]) for row in rows), strict=True
    )
    values = [row["value"] for row in rows]
    spread = f" +- {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return (
        " ".join(str(row["cell"]["seed"]) for row in rows),
        f"{'**' if spread else ''}{100 * statistics.mean(values):.2f}{spread}{'**' if spread else ''}",
        f"{100 * min(latents):.1f}" if latents else "",
        _mean([row["null"].get("rotation") for row in rows]),
        _mean([row["null"].get("identity") for row in rows]),
        _mean([row["ceiling"].get("supervised") for row in rows]),
        _mean(
            [row["value"] / row["ceiling"]["supervised"] for row in rows if row["ceiling"].get("supervised")]
        ),
        f"{known['mean']} {100 * known['low']:.1f} to {100 * known['high']:.1f}" if known else "",
        f"{known['reached']} of {len(rows)}" if known else "",
        f"{100 * max(own):.2f} at most" if own else "",
        f"{statistics.mean(ends):.2f}, {f'{asked[0]:.2f}' if asked[0] else 'none'}",
        f"{statistics.mean(row['cost']['seconds'] for row in rows) / 60:.1f}",
    )


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * statistics.mean(known):.1f}" if known else ""


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("give one or more run folders, for example runs/identifiability-1234abcd")
    main(sys.argv[1:])
