"""Rows: one result as JSON values, with all that is needed to doubt it. Schema ``lpcm.row/1``.

A row of ``level`` ``"cell"`` is one cell; one of ``level`` ``"summary"`` averages cells over seeds
(:mod:`lpcm.study.summary`), one of ``level`` ``"pooled"`` those over an axis too (:mod:`lpcm.study.pooled`).
``docs/rows.md`` describes every field.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from lpcm.errors import LpcmError
from lpcm.plugin.contracts import Cell
from lpcm.plugin.truth import Score
from lpcm.store.versions import versions_of
from lpcm.study.plan import ROW_SCHEMA

SCHEMA = f"lpcm.row/{ROW_SCHEMA}"

_RECORDED = ("lpcm", "numpy", "scipy", "scikit-learn", "torch", "pillow", "open_clip_torch", "timm")

VOLATILE = ("time", "cost")
"""Fields that differ when the same cell is run again from nothing."""


class Level(str, Enum):
    """What a row sums up."""

    CELL = "cell"
    SUMMARY = "summary"
    POOLED = "pooled"


class RowStatus(str, Enum):
    """How a cell ended."""

    DONE = "done"
    FAILED = "failed"


def done_row(
    cell: Cell,
    *,
    score: Score,
    interval: Mapping[str, Any],
    n: int,
    selection: str,
    oracle: bool,
    facts: Mapping[str, Any],
    warnings: Sequence[str],
    digests: Mapping[str, str],
    cost: Mapping[str, float],
) -> dict[str, Any]:
    """The row of a cell that ran."""
    return {
        "schema": SCHEMA,
        "level": Level.CELL.value,
        "status": RowStatus.DONE.value,
        "cell": dict(cell.axes),
        "metric": score.metric,
        "value": float(score.value),
        **({"unit": score.unit} if score.unit else {}),
        "interval": dict(interval),
        "null": _floats(score.null),
        "ceiling": _floats(score.ceiling),
        "n": n,
        "selection": selection,
        "oracle": oracle,
        "facts": jsonable(facts),
        "details": jsonable(score.details),
        "warnings": list(warnings),
        "digests": dict(digests),
        "environment": environment(),
        "cost": dict(cost),
        "time": now(),
    }


def failed_row(cell: Cell, key: str, error: BaseException) -> dict[str, Any]:
    """The row of a cell that did not run to its end; it is not stored, so it is tried again next time."""
    return {
        "schema": SCHEMA,
        "level": Level.CELL.value,
        "status": RowStatus.FAILED.value,
        "cell": dict(cell.axes),
        "error": {
            "type": type(error).__name__,
            "message": error.message if isinstance(error, LpcmError) else str(error),
            "hint": error.hint if isinstance(error, LpcmError) else "",
        },
        "key": key,
        "environment": environment(),
        "time": now(),
    }


def stable(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without cost and time: what must be the same when it is computed again."""
    return {name: value for name, value in row.items() if name not in VOLATILE}


def environment() -> dict[str, Any]:
    """Versions and processor that a row was made with."""
    from lpcm import _core

    return {
        "python": platform.python_version(),
        **versions_of(*_RECORDED),
        "machine": platform.machine(),
        "processor": _core.cpu()["brand"],
    }


def now() -> str:
    """The time as UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def jsonable(value: Any) -> Any:
    """A value of numpy scalars, mappings and sequences as plain JSON types.

    Raises:
        TypeError: for what JSON cannot hold; NaN and infinities become strings, since JSON has none.
    """
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "item") and callable(value.item) and getattr(value, "ndim", 0) == 0:
        value = value.item()
    elif hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a row cannot hold a {type(value).__name__}")
