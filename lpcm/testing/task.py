"""What a task promises, above all that it never sees a test label. Refuses to judge what it measures.

Source: the contract ``lpcm.plugin.contracts.Task`` and ``Fitted``. A task is run on a bench that remembers
what it was asked (``lpcm.testing.spy``) and that holds no test label.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lpcm.keys import Key
from lpcm.plugin.truth import Truth
from lpcm.testing.common import WITH_SETTINGS, expect_json, expect_text, watched
from lpcm.testing.subject import CheckFunction, Subject, expect, skip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lpcm.testing.spy import SpyBench, World

# Another block of rows gives BLAS another order of sums: fp32 products of unit rows differ by less than this.
ROUNDING = 1e-5

AXES: dict[str, tuple[Any, ...]] = {
    "encoder": ("one", "other"),
    "dataset": ("set",),
    "disentangler": ("none",),
    "adapter": ("linear-probe",),
    "geometry": (),
    "metric": (),
    "seed": (0, 3),
    "domain": (("set", "near"), ("set", "far"), ("set", "other")),
}
"""What a small study asks of a task."""


@dataclass(frozen=True, eq=False)
class Run:
    """A cell that was fitted, with the bench closed.

    Args:
        fitted: what the task made.
        bench: what it was given.
        rows: (n,) places of the test samples in the world.
    """

    fitted: Any
    bench: SpyBench
    rows: NDArray[np.intp]


def build(subject: Subject) -> Any:
    """A new task with the settings of its record."""
    return subject.load()()


def _cells(subject: Subject) -> list[Mapping[str, Any]]:
    return subject.once("cells", lambda: list(build(subject).cells(AXES)))


def _truth(subject: Subject) -> Truth:
    return Truth(getattr(build(subject), "truth", Truth.LABELS))


def _world(subject: Subject) -> World:
    from lpcm.testing.spy import World

    return subject.once("world", World.make)


def fit(subject: Subject, axes: Mapping[str, Any]) -> Run:
    """Fit a cell and close the bench."""
    from lpcm.testing.spy import SpyBench

    task, world = build(subject), _world(subject)
    partition = task.partition(world.roster, axes) if hasattr(task, "partition") else None
    oracle = bool(task.oracle(axes)) if hasattr(task, "oracle") else False
    bench = SpyBench(Key.of(int(axes.get("seed", 0))).fold("cell"), world, partition, oracle)
    try:
        return Run(task.fit(bench, axes), bench, world.rows("test", partition))
    finally:
        bench.close()
        subject.once("misdeeds", list[str]).extend(bench.misdeeds)


def _run(subject: Subject) -> Run:
    expect(_cells(subject), "cells() gave no cell for a study of two encoders and two seeds")
    # The last one: a task may begin with a reference that fits nothing.
    return subject.once("fitted", lambda: fit(subject, _cells(subject)[-1]))


def _predict(subject: Subject, run: Run, rows: NDArray[np.intp]) -> Any:
    """What the fitted task says of these samples of the world."""
    world = _world(subject)
    features = world.block.features[rows].copy()
    if _truth(subject) is Truth.OWNERS:
        return run.fitted.predict(features, world.captions(rows).features.copy())
    return run.fitted.predict(features)


def _first(predictions: Any) -> NDArray[Any]:
    import numpy as np

    return np.asarray(predictions[0] if isinstance(predictions, tuple) else predictions)


def _answer(subject: Subject, rows: NDArray[np.intp]) -> Any:
    """What the seal would hand out for these samples."""
    world, truth = _world(subject), _truth(subject)
    if truth is Truth.LABELS:
        return world.block.labels[rows].copy()
    if truth is Truth.OWNERS:
        return world.captions(rows).owners
    return world.factors.take(rows) if truth is Truth.FACTORS else None


def cells_are_points_of_the_study(subject: Subject) -> None:
    """Each cell names its encoder, dataset and seed; none is there twice; they are the same each time."""
    cells = _cells(subject)
    expect(cells, "cells() gave no cell for a study of two encoders and two seeds")
    seen = set()
    for cell in cells:
        expect_json(cell, "a cell")
        for axis in ("encoder", "dataset", "seed"):
            expect(axis in cell, f"a cell has no axis {axis!r}: {dict(cell)}")
        for axis in ("encoder", "dataset"):
            expect(cell[axis] in AXES[axis], f"a cell has {axis} {cell[axis]!r}, asked were {AXES[axis]}")
        text = json.dumps(dict(cell), sort_keys=True)
        expect(text not in seen, f"a cell is there twice: {text}")
        seen.add(text)
    expect({cell["encoder"] for cell in cells} == set(AXES["encoder"]), "an encoder of the study has no cell")
    expect(list(build(subject).cells(AXES)) == cells, "cells() gives other cells the second time")


def test_labels_are_never_asked_for(subject: Subject) -> None:
    """While fitting, the test block is not asked for, not even when the refusal is swallowed."""
    cells = _cells(subject)
    for cell in {id(c): c for c in (cells[0], cells[len(cells) // 2], cells[-1])}.values():
        bench = fit(subject, cell).bench
        expect(not bench.misdeeds, f"asked for {', '.join(bench.misdeeds)}")


def nothing_is_fitted_after_the_seal_opens(subject: Subject) -> None:
    """``predict`` does not go back to the bench."""
    run = fit(subject, _cells(subject)[-1])
    _predict(subject, run, run.rows)
    expect(not run.bench.misdeeds, f"called {', '.join(run.bench.misdeeds)}")


def the_partition_keeps_sides_apart(subject: Subject) -> None:
    """A task that chooses its test side puts no sample on two sides, and leaves none of the sides empty."""
    import numpy as np

    task, world = build(subject), _world(subject)
    if not hasattr(task, "partition"):
        skip("the task keeps to the dataset's splits")
    for cell in _cells(subject):
        made = task.partition(world.roster, cell)
        if made is None:
            continue
        places = np.concatenate([made.train, made.val, made.test])
        expect(len(np.unique(places)) == len(places), f"a sample is there twice in the cell {dict(cell)}")
        expect(len(made.train) and len(made.test), f"a side is empty in the cell {dict(cell)}")


def predictions_are_labels(subject: Subject) -> None:
    """(n, d) features give (n,) integers in [0, c) or (n, c) logits, also for one row; codes for other truths."""
    from lpcm.testing.spy import CLASSES

    run = _run(subject)
    for rows in (run.rows, run.rows[:1]):
        predicted, n = _first(_predict(subject, run, rows)), len(rows)
        expect(
            predicted.ndim >= 1 and len(predicted) == n,
            f"predict of {n} rows has shape {predicted.shape}: expected ({n}, ...)",
        )
        if _truth(subject) is not Truth.LABELS:
            continue
        if predicted.ndim == 2:
            expect(
                predicted.shape[1] == CLASSES,
                f"logits have shape {predicted.shape}: expected ({n}, {CLASSES})",
            )
            continue
        expect(predicted.shape == (n,), f"predict of {n} rows has shape {predicted.shape}: expected ({n},)")
        expect(predicted.dtype.kind in "iu", f"predictions are {predicted.dtype.name}: expected int64")
        inside = ((predicted >= 0) & (predicted < CLASSES)).all()
        expect(
            inside, f"predictions reach {predicted.min()} to {predicted.max()}: expected 0 to {CLASSES - 1}"
        )


def predictions_do_not_depend_on_other_rows(subject: Subject) -> None:
    """A test row has the same prediction alone, among others, and in another order."""
    import numpy as np

    run = _run(subject)
    together = _first(_predict(subject, run, run.rows))
    alone = np.concatenate([_first(_predict(subject, run, run.rows[i : i + 1])) for i in range(7)])
    expect(_equal(alone, together[:7]), "a row alone has another prediction than among others")
    turned = _first(_predict(subject, run, run.rows[::-1].copy()))[::-1]
    expect(_equal(turned, together), "rows in another order have other predictions")


def same_key_same_predictions(subject: Subject) -> None:
    """The same cell fitted again predicts the same."""
    import numpy as np

    run = _run(subject)
    again = fit(subject, _cells(subject)[-1])
    one, other = (_first(_predict(subject, r, run.rows)) for r in (run, again))
    expect(
        np.array_equal(one, other), "a second fit of the same cell predicts otherwise: draw from bench.key"
    )


def fit_goes_into_a_row(subject: Subject) -> None:
    """Facts are JSON values; selection and warnings are texts; exhibits are bytes."""
    fitted = _run(subject).fitted
    expect_json(fitted.facts, "facts")
    expect_text(fitted.selection, "selection")
    expect(not isinstance(fitted.warnings, str), "warnings is one text: expected a sequence of texts")
    for warning in fitted.warnings:
        expect_text(warning, "a warning")
    for name, content in getattr(fitted, "exhibits", {}).items():
        expect(
            isinstance(content, bytes) and content,
            f"exhibit {name!r} is {type(content).__name__}: expected bytes",
        )


def value_is_the_mean_of_outcomes(subject: Subject) -> None:
    """``score`` gives finite outcomes whose mean is the value, or draws where the metric is no mean."""
    import numpy as np

    score = _scored(subject)
    expect_text(score.metric, "metric")
    if score.outcomes is None:
        if score.draws is not None:
            draws = np.asarray(score.draws)
            expect(draws.ndim == 1 and len(draws) > 1, f"draws have shape {draws.shape}: expected (b,)")
            expect(np.isfinite(draws).all(), "draws are not finite")
        else:
            expect(_truth(subject) is Truth.NOTHING, "score gives neither outcomes nor draws")
        return
    outcomes = np.asarray(score.outcomes)
    n = len(_run(subject).rows)
    if _truth(subject) is Truth.LABELS:
        expect(outcomes.shape == (n,), f"outcomes have shape {outcomes.shape}: expected ({n},)")
    expect(np.isfinite(outcomes).all(), "outcomes are not finite")
    off = abs(float(outcomes.mean()) - float(score.value))
    expect(off < 1e-9, f"value is {score.value}, the mean of outcomes {outcomes.mean()}")  # fp64 sums


def null_is_declared(subject: Subject) -> None:
    """A score comes with what chance gives for it."""
    null = _scored(subject).null
    expect(null, "null is empty: say what chance gives, for example {'chance': 1 / classes}")
    for name, value in null.items():
        expect(math.isfinite(value), f"null {name!r} is {value}")


def details_go_into_a_row(subject: Subject) -> None:
    """Details are JSON values."""
    expect_json(_scored(subject).details, "details")


def perfect_predictions_score_best(subject: Subject) -> None:
    """The labels themselves score at least as well as wrong ones, and not below chance."""
    import numpy as np

    from lpcm.testing.spy import CLASSES

    if _truth(subject) is not Truth.LABELS:
        skip("the task is not scored on labels")
    run = _run(subject)
    labels = _answer(subject, run.rows)
    answers = [labels, (labels + 1) % CLASSES]
    if _first(_predict(subject, run, run.rows)).ndim == 2:
        answers = [np.eye(CLASSES)[answer] for answer in answers]
    best, wrong = (_score(subject, run, answer, labels) for answer in answers)
    expect(best.value > wrong.value, f"perfect predictions score {best.value}, all wrong ones {wrong.value}")
    for name, value in best.null.items():
        expect(best.value > value, f"perfect predictions score {best.value}, {name} gives {value}")


def _scored(subject: Subject) -> Any:
    run = _run(subject)
    return subject.once(
        "score",
        lambda: _score(subject, run, _predict(subject, run, run.rows), _answer(subject, run.rows)),
    )


def _score(subject: Subject, run: Run, predictions: Any, truth: Any) -> Any:
    from lpcm.testing.spy import CLASSES

    judge = getattr(run.fitted, "score", None) or build(subject).score
    return judge(predictions, truth, CLASSES)


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Labels to the letter, scores and codes up to the rounding of another order of sums."""
    import numpy as np

    if one.dtype.kind in "iu":
        return np.array_equal(one, other)
    return bool(np.allclose(one, other, rtol=ROUNDING, atol=ROUNDING * max(1.0, float(np.abs(other).max()))))


def _exercise(subject: Subject) -> None:
    run = fit(subject, _cells(subject)[-1])
    _score(subject, run, _predict(subject, run, run.rows), _answer(subject, run.rows))


CHECKS: tuple[CheckFunction, ...] = (
    *WITH_SETTINGS,
    cells_are_points_of_the_study,
    test_labels_are_never_asked_for,
    nothing_is_fitted_after_the_seal_opens,
    the_partition_keeps_sides_apart,
    predictions_are_labels,
    predictions_do_not_depend_on_other_rows,
    same_key_same_predictions,
    fit_goes_into_a_row,
    value_is_the_mean_of_outcomes,
    null_is_declared,
    details_go_into_a_row,
    perfect_predictions_score_best,
    *watched(_exercise),
)
