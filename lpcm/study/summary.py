"""Summaries: cells averaged over seeds, with both intervals and the paired difference to whitening.

Computed from rows and their outcomes alone, so that a summary can always be made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lpcm.keys import Key
from lpcm.stats.intervals import bootstrap, percentiles, student_t
from lpcm.study.evidence import Evidence, described, done_of, told_difference
from lpcm.study.pooled import Group, pooled_rows
from lpcm.study.rows import SCHEMA, Level, RowStatus
from lpcm.study.told import told_by, unit_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTROL = "whiten"
"""Disentangler that the others are compared with: FastICA without its rotation."""


def sample_interval(outcomes: NDArray[np.float64], key: Key) -> dict[str, Any]:
    """The interval of one cell: bootstrap over its test samples."""
    return {"samples": described(bootstrap(outcomes, key.fold("samples")))}


def draws_interval(draws: NDArray[np.float64]) -> dict[str, Any]:
    """The interval of one cell whose metric is no mean: percentiles of its values on bootstrap resamples."""
    return described(percentiles(draws))


def summarise(
    rows: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Path], pooled: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], ...]:
    """One summary row a group of cells that differ only in their seed, then those over a pooled axis.

    Args:
        rows: cell rows, done and failed.
        outcomes: for the key of each done row, the file of its per-sample outcomes.
        pooled: for each task that averages over an axis, such as target domains, that axis.
    """
    groups: dict[Group, list[Mapping[str, Any]]] = {}
    for row in rows:
        group = tuple((name, value) for name, value in row["cell"].items() if name != "seed")
        groups.setdefault(group, []).append(row)
    evidence = {group: Evidence.of(members, outcomes) for group, members in groups.items()}
    single = tuple(_summary(group, members, evidence) for group, members in groups.items())
    return single + pooled_rows(groups, evidence, pooled or {})


def _summary(
    group: Group,
    members: Sequence[Mapping[str, Any]],
    evidence: Mapping[Group, Evidence | None],
) -> dict[str, Any]:
    done = done_of(members)
    summary: dict[str, Any] = {"schema": SCHEMA, "level": Level.SUMMARY.value, "cell": dict(group)}
    if not done:
        return {
            **summary,
            "status": RowStatus.FAILED.value,
            "error": members[0]["error"],
            "failed": len(members),
        }
    own = evidence[group]
    assert own is not None  # there is a done row
    values = [row["value"] for row in done]
    across_seeds = student_t(np.array(values))
    return {
        **summary,
        "status": RowStatus.DONE.value if len(done) == len(members) else "partial",
        "failed": len(members) - len(done),
        "metric": done[0]["metric"],
        "value": own.value,
        **unit_of(done),
        "interval": {
            "seeds": described(across_seeds) if across_seeds else None,
            "samples": own.interval(),
        },
        "null": _mean_of([row["null"] for row in done]),
        "ceiling": _mean_of([row["ceiling"] for row in done]),
        "n": done[0]["n"],
        "seeds": [row["cell"].get("seed") for row in done],
        "values": values,
        "difference": _difference(group, own, evidence),
        "selection": done[0]["selection"],
        "oracle": any(row["oracle"] for row in done),
        "facts": _shared([row["facts"] for row in done]),
        **told_by(done),
        "warnings": list(dict.fromkeys(warning for row in done for warning in row["warnings"])),
        "cells": [row["key"] for row in done],
        "environment": done[0]["environment"],
        "cost": {name: float(sum(row["cost"][name] for row in done)) for name in ("seconds",)},
    }


def _difference(
    group: Group,
    own: Evidence,
    evidence: Mapping[Group, Evidence | None],
) -> dict[str, Any] | None:
    """Paired difference to the control on the same test samples; ``None`` where there is none to compare with."""
    cell = dict(group)
    if cell.get("disentangler") in (None, CONTROL) or cell.get("shots") == 0:
        return None
    control = evidence.get(
        tuple((name, CONTROL if name == "disentangler" else value) for name, value in group)
    )
    difference = None if control is None else own.difference(control)
    if difference is None:
        return None
    return told_difference(CONTROL, difference)


def _mean_of(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each named value averaged over the cells that have it."""
    names = dict.fromkeys(name for value in values for name in value)
    return {name: float(np.mean([v[name] for v in values if name in v])) for name in names}


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
