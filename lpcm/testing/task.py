"""What a task promises, above all that it never sees a test label. Refuses to judge what it measures.

Source: the contract ``lpcm.plugin.contracts.Task`` and ``Fitted``. A task is run on a bench that remembers
what it was asked (``lpcm.testing.spy``) and that holds no test label.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lpcm.keys import Key
from lpcm.testing.common import WITH_SETTINGS, expect_json, expect_text, watched
from lpcm.testing.data import make_class_rows
from lpcm.testing.subject import CheckFunction, Subject, expect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lpcm.testing.spy import SpyBench

_TEST = 41

AXES: dict[str, tuple[Any, ...]] = {
    "encoder": ("one", "other"),
    "dataset": ("set",),
    "disentangler": ("none",),
    "adapter": ("linear-probe",),
    "geometry": (),
    "seed": (0, 3),
}
"""What a small study asks of a task."""


def build(subject: Subject) -> Any:
    """A new task with the settings of its record."""
    return subject.load()()


def _cells(subject: Subject) -> list[Mapping[str, Any]]:
    return subject.once("cells", lambda: list(build(subject).cells(AXES)))


def fit(subject: Subject, axes: Mapping[str, Any]) -> tuple[Any, SpyBench]:
    """A cell fitted, with the bench closed."""
    from lpcm.testing.spy import SpyBench

    bench = SpyBench(Key.of(int(axes.get("seed", 0))).fold("cell"))
    try:
        return build(subject).fit(bench, axes), bench
    finally:
        bench.close()
        subject.once("misdeeds", list[str]).extend(bench.misdeeds)


def _fitted(subject: Subject) -> tuple[Any, SpyBench]:
    expect(_cells(subject), "cells() gave no cell for a study of two encoders and two seeds")
    # The last one: a task may begin with a reference that fits nothing.
    return subject.once("fitted", lambda: fit(subject, _cells(subject)[-1]))


def _test_rows() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rows = make_class_rows(_TEST, Key.of(0).fold("test"))
    return rows.features, rows.labels


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
        _, bench = fit(subject, cell)
        expect(not bench.misdeeds, f"asked for {', '.join(bench.misdeeds)}")


def nothing_is_fitted_after_the_seal_opens(subject: Subject) -> None:
    """``predict`` does not go back to the bench."""
    fitted, bench = fit(subject, _cells(subject)[-1])
    fitted.predict(_test_rows()[0])
    expect(not bench.misdeeds, f"called {', '.join(bench.misdeeds)}")


def predictions_are_labels(subject: Subject) -> None:
    """(n, d) features give (n,) integers in [0, c), also for one row."""
    import numpy as np

    from lpcm.testing.spy import CLASSES

    fitted, _ = _fitted(subject)
    features, _ = _test_rows()
    for n in (_TEST, 1):
        predicted = np.asarray(fitted.predict(features[:n]))
        expect(predicted.shape == (n,), f"predict of {n} rows has shape {predicted.shape}: expected ({n},)")
        expect(predicted.dtype.kind in "iu", f"predictions are {predicted.dtype.name}: expected int64")
        inside = ((predicted >= 0) & (predicted < CLASSES)).all()
        expect(
            inside, f"predictions reach {predicted.min()} to {predicted.max()}: expected 0 to {CLASSES - 1}"
        )


def predictions_do_not_depend_on_other_rows(subject: Subject) -> None:
    """A test row has the same prediction alone, among others, and in another order."""
    import numpy as np

    fitted, _ = _fitted(subject)
    features, _ = _test_rows()
    together = np.asarray(fitted.predict(features))
    alone = np.concatenate([fitted.predict(features[i : i + 1]) for i in range(7)])
    expect(np.array_equal(alone, together[:7]), "a row alone has another prediction than among others")
    turned = np.asarray(fitted.predict(features[::-1].copy()))[::-1]
    expect(np.array_equal(turned, together), "rows in another order have other predictions")


def same_key_same_predictions(subject: Subject) -> None:
    """The same cell fitted again predicts the same."""
    import numpy as np

    features, _ = _test_rows()
    again, _ = fit(subject, _cells(subject)[-1])
    same = np.array_equal(again.predict(features), _fitted(subject)[0].predict(features))
    expect(same, "a second fit of the same cell predicts otherwise: draw from bench.key")


def fit_goes_into_a_row(subject: Subject) -> None:
    """Facts are JSON values; selection and warnings are texts."""
    fitted, _ = _fitted(subject)
    expect_json(fitted.facts, "facts")
    expect_text(fitted.selection, "selection")
    expect(not isinstance(fitted.warnings, str), "warnings is one text: expected a sequence of texts")
    for warning in fitted.warnings:
        expect_text(warning, "a warning")


def value_is_the_mean_of_outcomes(subject: Subject) -> None:
    """``score`` gives one finite outcome a sample, and their mean is the value."""
    import numpy as np

    fitted, _ = _fitted(subject)
    features, labels = _test_rows()
    score = _score(subject, np.asarray(fitted.predict(features)), labels)
    outcomes = np.asarray(score.outcomes)
    expect(outcomes.shape == (_TEST,), f"outcomes have shape {outcomes.shape}: expected ({_TEST},)")
    expect(np.isfinite(outcomes).all(), "outcomes are not finite")
    off = abs(float(outcomes.mean()) - float(score.value))
    expect(
        off < 1e-9, f"value is {score.value}, the mean of outcomes {outcomes.mean()}"
    )  # fp64 sums of 41 numbers
    expect_text(score.metric, "metric")


def null_is_declared(subject: Subject) -> None:
    """A score comes with what chance gives for it."""
    _, labels = _test_rows()
    null = _score(subject, labels, labels).null
    expect(null, "null is empty: say what chance gives, for example {'chance': 1 / classes}")
    for name, value in null.items():
        expect(math.isfinite(value), f"null {name!r} is {value}")


def perfect_predictions_score_best(subject: Subject) -> None:
    """The labels themselves score at least as well as wrong ones, and not below chance."""
    from lpcm.testing.spy import CLASSES

    _, labels = _test_rows()
    best, wrong = _score(subject, labels, labels), _score(subject, (labels + 1) % CLASSES, labels)
    expect(best.value > wrong.value, f"perfect predictions score {best.value}, all wrong ones {wrong.value}")
    for name, value in best.null.items():
        expect(best.value > value, f"perfect predictions score {best.value}, {name} gives {value}")


def _score(subject: Subject, predictions: NDArray[np.int64], labels: NDArray[np.int64]) -> Any:
    from lpcm.testing.spy import CLASSES

    return build(subject).score(predictions.copy(), labels.copy(), CLASSES)


def _exercise(subject: Subject) -> None:
    fitted, _ = fit(subject, _cells(subject)[-1])
    features, labels = _test_rows()
    _score(subject, fitted.predict(features), labels)


CHECKS: tuple[CheckFunction, ...] = (
    *WITH_SETTINGS,
    cells_are_points_of_the_study,
    test_labels_are_never_asked_for,
    nothing_is_fitted_after_the_seal_opens,
    predictions_are_labels,
    predictions_do_not_depend_on_other_rows,
    same_key_same_predictions,
    fit_goes_into_a_row,
    value_is_the_mean_of_outcomes,
    null_is_declared,
    perfect_predictions_score_best,
    *watched(_exercise),
)
