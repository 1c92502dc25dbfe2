"""Summary rows over an axis, such as target domains: average, worst, gaps. Refuses to average what is not all there.

The parts count alike, whatever their sizes. Intervals and differences resample the test samples within each part:
they hold for these parts, and say nothing of a further domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from lpcm.keys import Key
from lpcm.stats.intervals import percentiles, student_t
from lpcm.stats.paired import paired_draws
from lpcm.stats.stratified import stratified_draws
from lpcm.study.evidence import Evidence, described, done_of, told_difference
from lpcm.study.rows import SCHEMA, Level, RowStatus
from lpcm.study.told import unit_of

CONTROLS = ("none", "whiten", "rotation")
"""Disentanglers that every other one is compared with, in pairs of the same test samples."""

Group: TypeAlias = tuple[tuple[str, Any], ...]
"""A cell without its seed, as a key."""

_DRAWS = Key.of(0).fold("summary", "pooled")
_REFERENCE_SHOTS = 0


def pooled_rows(
    groups: Mapping[Group, Sequence[Mapping[str, Any]]],
    evidence: Mapping[Group, Evidence | None],
    axes: Mapping[str, str],
) -> tuple[dict[str, Any], ...]:
    """One row for each set of groups that differ only along their task's pooled axis.

    Args:
        groups: cell rows of each group of seeds.
        evidence: of each group.
        axes: the axis of each task that has one.

    Returns:
        rows; none for tasks without such an axis, nor where there is one part only.
    """
    pools: dict[Group, dict[str, Group]] = {}
    for group in groups:
        cell = dict(group)
        axis = axes.get(cell["task"])
        if axis in cell:
            rest = tuple((name, value) for name, value in group if name != axis)
            pools.setdefault(rest, {})[str(cell[axis])] = group
    rows = {
        rest: _pooled(rest, axes[dict(rest)["task"]], parts, groups, evidence)
        for rest, parts in pools.items()
        if len(parts) > 1
    }
    compared = {
        rest: {name: evidence[group] for name, group in pools[rest].items()}
        for rest, row in rows.items()
        if "value" in row
    }
    for rest in compared:
        rows[rest]["differences"] = _differences(rest, compared)
        rows[rest]["difference"] = next((d for d in rows[rest]["differences"] if d["to"] == "whiten"), None)
    return tuple(rows.values())


def _pooled(
    rest: Group,
    axis: str,
    parts: Mapping[str, Group],
    groups: Mapping[Group, Sequence[Mapping[str, Any]]],
    evidence: Mapping[Group, Evidence | None],
) -> dict[str, Any]:
    row: dict[str, Any] = {"schema": SCHEMA, "level": Level.POOLED.value, "cell": dict(rest), "over": axis}
    members = {name: groups[group] for name, group in parts.items()}
    done = {name: done_of(rows) for name, rows in members.items()}
    failed = sum(len(members[name]) - len(done[name]) for name in parts)
    if empty := [name for name in parts if not done[name]]:
        error = members[empty[0]][0]["error"]
        message = f"no average over {axis}: nothing is done for {', '.join(empty)}: {error['message']}"
        return {
            **row,
            "status": RowStatus.FAILED.value,
            "error": {**error, "message": message},
            "failed": failed,
        }
    own = {name: known for name, group in parts.items() if (known := evidence[group]) is not None}
    values = {name: known.value for name, known in own.items()}
    every = [one for rows in done.values() for one in rows]
    worst, best = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    seeds, by_seed = _by_seed(done)
    across_seeds = student_t(by_seed) if len(by_seed) > 1 else None
    draws = _draws(own)
    return {
        **row,
        "status": "partial" if failed else RowStatus.DONE.value,
        "failed": failed,
        "metric": every[0]["metric"],
        "value": float(np.mean(list(values.values()))),
        **unit_of(every),
        "parts": {
            name: {"value": values[name], "n": done[name][0]["n"], **_source(done[name])} for name in parts
        },
        "worst": {"name": worst, "value": values[worst]},
        "best": {"name": best, "value": values[best]},
        "gap": {"between": values[best] - values[worst], **_gap_to_source(done, values)},
        "interval": {
            "seeds": described(across_seeds) if across_seeds else None,
            "samples": None if draws is None else described(percentiles(draws)),
        },
        "null": _mean_null(done),
        "n": sum(rows[0]["n"] for rows in done.values()),
        "seeds": seeds,
        "values": by_seed,
        "selection": every[0]["selection"],
        "oracle": any(one["oracle"] for one in every),
        "facts": {},
        "warnings": list(dict.fromkeys(warning for one in every for warning in one["warnings"])),
        "cells": [one["key"] for one in every],
        "environment": every[0]["environment"],
        "cost": {"seconds": float(sum(one["cost"]["seconds"] for one in every))},
    }


def _by_seed(done: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[list[Any], list[float]]:
    """Seeds that every part has, and the average over the parts of each."""
    values = [{row["cell"].get("seed"): row["value"] for row in rows} for rows in done.values()]
    seeds = [seed for seed in values[0] if all(seed in known for known in values)]
    return seeds, [float(np.mean([known[seed] for known in values])) for seed in seeds]


def _source(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Accuracy on held-out source rows, averaged over seeds, where the task tells it."""
    known = [row["facts"]["source_accuracy"] for row in rows if "source_accuracy" in row["facts"]]
    return {"source_accuracy": float(np.mean(known))} if known else {}


def _gap_to_source(
    done: Mapping[str, Sequence[Mapping[str, Any]]], values: Mapping[str, float]
) -> dict[str, float]:
    """How much lower the average is than on held-out rows of the sources, where the task tells that."""
    gaps = [
        found["source_accuracy"] - values[name] for name, rows in done.items() if (found := _source(rows))
    ]
    return {"to_source": float(np.mean(gaps))} if len(gaps) == len(done) else {}


def _mean_null(done: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    nulls = [rows[0]["null"] for rows in done.values()]
    shared = [name for name in nulls[0] if all(name in null for null in nulls)]
    return {name: float(np.mean([null[name] for null in nulls])) for name in shared}


def _draws(own: Mapping[str, Evidence]) -> Any:
    """Resampled averages over the parts; ``None`` where a part has nothing to resample."""
    outcomes = {name: known.outcomes for name, known in own.items() if known.outcomes is not None}
    if len(outcomes) == len(own):
        return stratified_draws(outcomes, _DRAWS)
    draws = [known.draws for known in own.values() if known.draws is not None]
    if len(draws) == len(own) and len({d.shape for d in draws}) == 1:
        return np.mean(draws, axis=0)
    return None


def _differences(
    rest: Group, compared: Mapping[Group, Mapping[str, Evidence | None]]
) -> list[dict[str, Any]]:
    """Paired differences to each control, resampled within each part."""
    cell = dict(rest)
    if "disentangler" not in cell or cell.get("shots") == _REFERENCE_SHOTS:
        return []
    told = []
    for control in CONTROLS:
        other = tuple((name, control if name == "disentangler" else value) for name, value in rest)
        if other == rest or other not in compared:
            continue
        own, theirs = compared[rest], compared[other]
        if set(own) != set(theirs):
            continue
        pairs = {name: (own[name], theirs[name]) for name in own}
        value = float(np.mean([a.value - b.value for a, b in pairs.values() if a and b]))
        drawn = _paired_draws(pairs)
        if drawn is not None:
            told.append(told_difference(control, paired_draws(value, drawn, np.zeros(len(drawn)))))
    return told


def _paired_draws(pairs: Mapping[str, tuple[Evidence | None, Evidence | None]]) -> Any:
    """Resampled averages of the differences; ``None`` where two test sides do not belong together."""
    of_samples, of_draws = {}, []
    for name, (a, b) in pairs.items():
        if a is None or b is None:
            return None
        if a.outcomes is not None and b.outcomes is not None and a.outcomes.shape == b.outcomes.shape:
            of_samples[name] = a.outcomes - b.outcomes
        elif a.draws is not None and b.draws is not None and a.draws.shape == b.draws.shape:
            of_draws.append(a.draws - b.draws)
    if len(of_samples) == len(pairs):
        return stratified_draws(of_samples, _DRAWS)
    if len(of_draws) == len(pairs) and len({d.shape for d in of_draws}) == 1:
        return np.mean(of_draws, axis=0)
    return None
