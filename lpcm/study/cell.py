"""One cell from its feature blocks to its row: fit, close, predict, open the seal, score.

This is the only place where test labels are handed out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, LpcmError
from lpcm.keys import Key
from lpcm.metrics.labelled import class_and_domain
from lpcm.plugin.contracts import Cell, Fitted, Task
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind
from lpcm.plugin.truth import Captions, Factors, Partition, Score, Truth
from lpcm.store.digest import digest_of
from lpcm.study.bench import CellBench, Maker, Makers
from lpcm.study.features import Features, Side
from lpcm.study.plan import Plan, piece_of
from lpcm.study.rows import done_row
from lpcm.study.seal import Loan, Seal
from lpcm.study.summary import draws_interval, sample_interval

_NAMED = 3  # unreadable images named in a row's warning; the others are counted
_EXHIBIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, eq=False)
class CellResult:
    """A computed cell.

    Args:
        row: JSON values.
        tensors: ``outcomes`` (q,), ``draws`` (b,) and ``predictions`` (n, ...) as far as the task gave them.
        exhibits: file names to contents.
    """

    row: dict[str, Any]
    tensors: Mapping[str, NDArray[np.generic]]
    exhibits: Mapping[str, bytes] = field(default_factory=dict)


def run_cell(plan: Plan, cell: Cell, host: PluginHost, features: Features) -> CellResult:
    """Compute a cell.

    Args:
        plan: what the cell is part of.
        cell: its axes.
        host: resolves loaders.
        features: blocks of its encoder on its dataset.
    """
    axes = cell.axes
    dataset_digest = features.dataset.digest()
    task = plan.tasks[axes["task"]]
    sides = features.sides(_partition(task, features, axes))
    test = sides["test"]
    start, read_before = time.perf_counter(), features.seconds
    # Of the dataset and the seed alone: every encoder, disentangler and adapter sees the same draw.
    key = Key.of(axes.get("seed", 0)).fold("cell", dataset_digest)
    question = _question(task, features, test, Key.of(0).fold("captions", dataset_digest))
    oracle = getattr(task, "oracle", None)
    seal = Seal(question.answer, Loan.ORACLE if oracle is not None and oracle(axes) else Loan.REFUSED)

    fitted: Fitted = task.fit(CellBench(features, sides, seal, key, _makers(plan, host, axes)), axes)
    seal.close_fitting()
    predictions = fitted.predict(*question.inputs)
    _check_rows(predictions, len(test), axes["task"])
    judge = getattr(fitted, "score", task.score)
    score: Score = judge(predictions, seal.open(), len(features.dataset.classes))
    if not np.isfinite(score.value):
        raise DataError(f"the score is {score.value}")
    exhibits = checked_exhibits(getattr(fitted, "exhibits", {}))

    row = done_row(
        cell,
        score=score,
        interval=interval_of(score, key),
        n=len(test),
        selection=fitted.selection,
        oracle=seal.lent,
        facts=fitted.facts,
        warnings=[*fitted.warnings, *_about_data(features)],
        digests={
            "encoder": features.encoder.digest(),
            "dataset": dataset_digest,
            "test": digest_of(list(test.ids)),
        },
        cost={
            # Blocks that this cell was the first to ask for are everybody's cost, not its own.
            "seconds": time.perf_counter() - start - (features.seconds - read_before),
            "feature_seconds": features.seconds,
            "feature_bytes": features.bytes,
        },
    )
    return CellResult(row, tensors_of(score, predictions), exhibits)


@dataclass(frozen=True, eq=False)
class _Question:
    """What ``predict`` is given, and how its truth is read once the seal opens."""

    inputs: tuple[NDArray[np.float32], ...]
    answer: Callable[[], Any]


def _question(task: Task, features: Features, test: Side, key: Key) -> _Question:
    truth = Truth(getattr(task, "truth", Truth.LABELS))
    if truth is Truth.OWNERS:
        captions: Captions = features.captions(test)
        # In the order of the images, a caption's place would give its image away. The same for all seeds, so that
        # a caption's outcome can be averaged over them.
        order = key.generator().permutation(len(captions.texts))
        return _Question((test.features, captions.features[order]), lambda: captions.owners[order])
    answers: Mapping[Truth, Callable[[], Any]] = {
        Truth.LABELS: lambda: test.labels,
        Truth.FACTORS: lambda: _factors(features, test),
        Truth.NOTHING: lambda: None,
    }
    return _Question((test.features,), answers[truth])


def _factors(features: Features, test: Side) -> Factors | None:
    """Factors of the test side; class and domain where the dataset knows no others."""
    known = features.factors(test)
    return known if known is not None else class_and_domain(test.labels, test.domains)


def _partition(task: Task, features: Features, axes: Mapping[str, Any]) -> Partition | None:
    partition = getattr(task, "partition", None)
    if partition is None:
        return None
    made: Partition | None = partition(features.roster, axes)
    return made


def maker_of(plan: Plan, host: PluginHost, kind: Kind, name: str) -> Maker:
    """What makes a thing of that kind and name, with the settings of the study."""
    piece = piece_of(kind, name, host, plan.pieces, plan.study)
    return Maker(piece.found.offer.full_name, host.load(piece.found), piece.settings)


def _makers(plan: Plan, host: PluginHost, axes: Mapping[str, Any]) -> Makers:
    def of_axis(kind: Kind) -> Maker | None:
        return maker_of(plan, host, kind, axes[kind.value]) if kind.value in axes else None

    return Makers(
        of_axis(Kind.DISENTANGLER),
        of_axis(Kind.ADAPTER),
        lambda name: maker_of(plan, host, Kind.METRIC, name),
    )


def _check_rows(predictions: Any, n: int, task: str) -> None:
    """Refuse answers that are not one a test sample; the first array counts when there are several."""
    first = np.asarray(predictions[0] if isinstance(predictions, tuple) else predictions)
    if first.ndim < 1 or len(first) != n:
        raise LpcmError(
            f"task {task!r} predicted shape {first.shape}: expected ({n}, ...), an answer for each test sample"
        )


def interval_of(score: Score, key: Key) -> Mapping[str, Any]:
    """The interval over samples, from outcomes or draws; ``None`` where the task gave neither."""
    if score.outcomes is not None:
        return sample_interval(np.asarray(score.outcomes, dtype=np.float64), key)
    return {"samples": None if score.draws is None else draws_interval(score.draws)}


def tensors_of(score: Score, predictions: Any) -> Mapping[str, NDArray[np.generic]]:
    """What is kept beside the row: labels and logits, but not codes of any width, which are made again at once."""
    tensors: dict[str, NDArray[np.generic]] = {}
    if score.outcomes is not None:
        tensors["outcomes"] = np.asarray(score.outcomes, dtype=np.float64)
    if score.draws is not None:
        tensors["draws"] = np.asarray(score.draws, dtype=np.float64)
    if predictions is not None and not isinstance(predictions, tuple) and np.asarray(predictions).ndim == 1:
        tensors["predictions"] = np.asarray(predictions).astype(np.int64)
    return tensors


def checked_exhibits(exhibits: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Exhibits whose names are file names on every system. Raises ``LpcmError`` for others."""
    for name in exhibits:
        if not _EXHIBIT_NAME.fullmatch(name):
            raise LpcmError(
                f"an exhibit is called {name!r}: expected letters, digits, dots, dashes and underscores"
            )
    return exhibits


def _about_data(features: Features) -> Sequence[str]:
    """What a reader should know of the images: those left out, and what the dataset itself says."""
    said = list(getattr(features.dataset, "notes", ()))
    failed = sorted(features.failed)
    if failed:
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        said.append(f"{len(failed)} unreadable images left out: {', '.join(failed[:_NAMED])}{more}")
    return said
