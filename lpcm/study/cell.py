"""One cell from its feature blocks to its row: fit, close, predict, open the seal, score.

This is the only place where test labels are handed out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, LpcmError
from lpcm.keys import Key
from lpcm.plugin.contracts import Cell, Fitted, Score
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind
from lpcm.store.digest import digest_of
from lpcm.study.bench import CellBench, Features, Maker
from lpcm.study.plan import Plan, piece_of
from lpcm.study.rows import done_row
from lpcm.study.seal import Seal
from lpcm.study.summary import sample_interval

_NAMED = 3  # unreadable images named in a row's warning; the others are counted


def run_cell(
    plan: Plan, cell: Cell, host: PluginHost, features: Features
) -> tuple[dict[str, Any], Mapping[str, NDArray[np.generic]]]:
    """Compute a cell.

    Args:
        plan: what the cell is part of.
        cell: its axes.
        host: resolves loaders.
        features: blocks of its encoder on its dataset.

    Returns:
        the row, and the tensors ``outcomes`` and ``predictions`` that are kept beside it.
    """
    axes = cell.axes
    dataset_digest = features.dataset.digest()
    test_features, test_samples = features.test()
    start = time.perf_counter()
    # Of the dataset and the seed alone: every encoder, disentangler and adapter sees the same draw.
    key = Key.of(axes["seed"]).fold("cell", dataset_digest)
    task = plan.tasks[axes["task"]]
    seal = Seal(test_samples)
    makers = [_maker(plan, host, kind, axes[kind.value]) for kind in (Kind.DISENTANGLER, Kind.ADAPTER)]

    fitted: Fitted = task.fit(CellBench(features, seal, key, *makers), axes)
    seal.close_fitting()
    predictions = np.asarray(fitted.predict(test_features))
    if predictions.shape != (len(test_samples),):
        raise LpcmError(
            f"task {axes['task']!r} predicted shape {predictions.shape}: expected ({len(test_samples)},), "
            "a label for each test sample"
        )
    score: Score = task.score(predictions, seal.open(), len(features.dataset.classes))
    outcomes = np.asarray(score.outcomes, dtype=np.float64)
    if not np.isfinite(score.value):
        raise DataError(f"the score is {score.value}")

    row = done_row(
        cell,
        metric=score.metric,
        value=float(score.value),
        interval=sample_interval(outcomes, key),
        null={name: float(value) for name, value in score.null.items()},
        n=len(test_samples),
        selection=fitted.selection,
        facts=fitted.facts,
        warnings=[*fitted.warnings, *_about_data(features)],
        digests={
            "encoder": features.encoder.digest(),
            "dataset": dataset_digest,
            "test": digest_of([sample.id for sample in test_samples]),
        },
        cost={
            "seconds": time.perf_counter() - start,
            "feature_seconds": features.seconds,
            "feature_bytes": features.bytes,
        },
    )
    return row, {"outcomes": outcomes, "predictions": predictions.astype(np.int64)}


def _maker(plan: Plan, host: PluginHost, kind: Kind, name: str) -> Maker:
    piece = piece_of(kind, name, host, plan.pieces, plan.study)
    return Maker(piece.found.offer.full_name, host.load(piece.found), piece.settings)


def _about_data(features: Features) -> Sequence[str]:
    """What a reader should know of the images: those left out, and what the dataset itself says."""
    said = list(getattr(features.dataset, "notes", ()))
    failed = sorted(features.failed)
    if failed:
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        said.append(f"{len(failed)} unreadable images left out: {', '.join(failed[:_NAMED])}{more}")
    return said
