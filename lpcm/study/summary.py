"""Summaries: cells averaged over seeds, with both intervals and the paired difference to whitening.

Computed from rows and their outcomes alone, so that a summary can always be made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lpcm.keys import Key
from lpcm.stats.intervals import bootstrap, student_t
from lpcm.stats.paired import paired_bootstrap
from lpcm.study.rows import SCHEMA, Level, RowStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTROL = "whiten"
"""Disentangler that the others are compared with: FastICA without its rotation."""

# The same draws for every group: equal outcomes have equal intervals.
_SAMPLES = Key.of(0).fold("summary", "samples")
_PAIRED = Key.of(0).fold("summary", "paired")


def sample_interval(outcomes: NDArray[np.float64], key: Key) -> dict[str, Any]:
    """The interval of one cell: bootstrap over its test samples."""
    return {"samples": _described(bootstrap(outcomes, key.fold("samples")))}


def summarise(rows: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Path]) -> tuple[dict[str, Any], ...]:
    """One summary row a group of cells that differ only in their seed.

    Args:
        rows: cell rows, done and failed.
        outcomes: for the key of each done row, the file of its per-sample outcomes.
    """
    groups: dict[tuple[tuple[str, Any], ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        group = tuple((name, value) for name, value in row["cell"].items() if name != "seed")
        groups.setdefault(group, []).append(row)
    means = {group: _mean_outcomes(members, outcomes) for group, members in groups.items()}
    return tuple(_summary(group, members, means) for group, members in groups.items())


def _summary(
    group: tuple[tuple[str, Any], ...],
    members: Sequence[Mapping[str, Any]],
    means: Mapping[tuple[tuple[str, Any], ...], NDArray[np.float64] | None],
) -> dict[str, Any]:
    done = [row for row in members if row["status"] == RowStatus.DONE.value]
    summary: dict[str, Any] = {"schema": SCHEMA, "level": Level.SUMMARY.value, "cell": dict(group)}
    if not done:
        return {
            **summary,
            "status": RowStatus.FAILED.value,
            "error": members[0]["error"],
            "failed": len(members),
        }
    outcomes = means[group]
    assert outcomes is not None  # there is a done row
    values = [row["value"] for row in done]
    across_seeds = student_t(np.array(values))
    return {
        **summary,
        "status": RowStatus.DONE.value if len(done) == len(members) else "partial",
        "failed": len(members) - len(done),
        "metric": done[0]["metric"],
        "value": float(np.mean(values)),
        "interval": {
            "seeds": _described(across_seeds) if across_seeds else None,
            "samples": _described(bootstrap(outcomes, _SAMPLES)),
        },
        "null": done[0]["null"],
        "n": done[0]["n"],
        "seeds": [row["cell"].get("seed") for row in done],
        "values": values,
        "difference": _difference(group, outcomes, means),
        "selection": done[0]["selection"],
        "facts": _shared([row["facts"] for row in done]),
        "warnings": list(dict.fromkeys(warning for row in done for warning in row["warnings"])),
        "cells": [row["key"] for row in done],
        "environment": done[0]["environment"],
        "cost": {name: float(sum(row["cost"][name] for row in done)) for name in ("seconds",)},
    }


def _difference(
    group: tuple[tuple[str, Any], ...],
    outcomes: NDArray[np.float64],
    means: Mapping[tuple[tuple[str, Any], ...], NDArray[np.float64] | None],
) -> dict[str, Any] | None:
    """Paired difference to the control on the same test samples; ``None`` where there is none to compare with."""
    cell = dict(group)
    if cell.get("disentangler") in (None, CONTROL) or not cell.get("shots"):
        return None
    control = means.get(tuple((name, CONTROL if name == "disentangler" else value) for name, value in group))
    if control is None or control.shape != outcomes.shape:
        return None
    difference = paired_bootstrap(outcomes, control, _PAIRED)
    return {"to": CONTROL, "value": difference.value, **_described(difference), "p_value": difference.p_value}


def _mean_outcomes(
    members: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Path]
) -> NDArray[np.float64] | None:
    """Each test sample's outcome, averaged over seeds."""
    from safetensors.numpy import load_file

    done = [row for row in members if row["status"] == RowStatus.DONE.value]
    if not done:
        return None
    mean: NDArray[np.float64] = np.mean([load_file(outcomes[row["key"]])["outcomes"] for row in done], axis=0)
    return mean


def _shared(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Facts that all cells agree on."""
    first = facts[0]
    shared: dict[str, Any] = {}
    for name, value in first.items():
        if isinstance(value, Mapping) and all(isinstance(f.get(name), Mapping) for f in facts):
            shared[name] = _shared([f[name] for f in facts])
        elif all(f.get(name) == value for f in facts):
            shared[name] = value
    return shared


def _described(interval: Any) -> dict[str, Any]:
    return {
        "low": float(interval.low),
        "high": float(interval.high),
        "confidence": interval.confidence,
        "method": interval.method.value,
    }
