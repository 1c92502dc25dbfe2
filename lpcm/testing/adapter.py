"""What an adapter promises. Refuses to judge whether it is a strong classifier, only whether it is sound.

Source: the contract ``lpcm.plugin.contracts.Adapter``. That it equals its literal formula is the author's own
test: only the author knows the formula.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts
from lpcm.plugin.records import AdapterRecord, Modality
from lpcm.plugin.tuner import PromptTuner
from lpcm.testing.common import WITH_SETTINGS, expect_json, expect_text, watched
from lpcm.testing.data import ClassRows, make_class_rows
from lpcm.testing.subject import CheckFunction, Subject, expect, refuses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CLASSES = 5
_TRAIN, _VAL, _QUERIES = 35, 15, 33

# Scores are sums of d products in fp32 or fp64; a query alone and in a batch differ in the last bits.
BATCH_TOLERANCE = 1e-4

# The classes are far apart (see make_class_rows): what does not classify nearly all queries is not fitted.
SEPARABLE = 0.95


def build(subject: Subject) -> Any:
    """A new adapter with the settings of its record."""
    return subject.load()()


def _text() -> TextPrompts:
    rows = make_class_rows(_CLASSES, Key.of(0).fold("text"))
    names = tuple(f"class {label}" for label in range(_CLASSES))

    def tuner() -> PromptTuner:
        import torch

        from lpcm.testing.text_tower import TinyTower

        return TinyTower(torch.from_numpy(rows.centres), names)

    return TextPrompts(rows.centres, names, tuner)


def _needs_text(subject: Subject) -> bool:
    return Modality.TEXT in cast(AdapterRecord, subject.record).needs


def fit(subject: Subject, train: ClassRows | None = None, *, key: Key | None = None) -> Any:
    """A new adapter fitted on separable classes."""
    train = train or make_class_rows(_TRAIN, Key.of(0).fold("train"))
    val = make_class_rows(_VAL, Key.of(0).fold("val"))
    adapter = build(subject)
    return adapter.fit(
        train.features,
        train.labels,
        classes=_CLASSES,
        key=key or Key.of(0),
        val=(val.features, val.labels),
        text=_text() if _needs_text(subject) else None,
    )


def _fitted(subject: Subject) -> Any:
    return subject.once("fitted", lambda: fit(subject))


def _queries() -> ClassRows:
    return make_class_rows(_QUERIES, Key.of(0).fold("test"))


def _logits(subject: Subject) -> NDArray[np.float64]:
    return subject.once("logits", lambda: _fitted(subject).logits(_queries().features))


def fit_returns_an_adapter(subject: Subject) -> None:
    """What ``fit`` returns answers ``logits`` and ``report``."""
    adapter = _fitted(subject)
    for name in ("logits", "report"):
        expect(
            callable(getattr(adapter, name, None)),
            f"fit returned {type(adapter).__name__}, which has no {name}()",
        )


def logits_have_the_declared_shape(subject: Subject) -> None:
    """The q rows give (q, c) numbers, also for one row."""
    adapter = _fitted(subject)
    for q, logits in ((_QUERIES, _logits(subject)), (1, adapter.logits(_queries().features[:1]))):
        shape = getattr(logits, "shape", None)
        expect(shape == (q, _CLASSES), f"logits have shape {shape}: expected ({q}, {_CLASSES})")
        expect(logits.dtype.kind == "f", f"logits are {logits.dtype.name}: expected float64")


def logits_are_numbers(subject: Subject) -> None:
    """No score is NaN or +inf; -inf stands for a class that cannot be."""
    import numpy as np

    logits = _logits(subject)
    expect(not np.isnan(logits).any() and not np.isposinf(logits).any(), "logits hold NaN or +inf")
    expect(np.isfinite(logits.max(axis=1)).all(), "a row has no finite logit")


def separable_classes_are_learnt(subject: Subject) -> None:
    """Classes that lie far apart are told apart."""
    right = float((_logits(subject).argmax(1) == _queries().labels).mean())
    expect(
        right >= SEPARABLE, f"accuracy on well separated classes is {right:.2f}: expected {SEPARABLE} or more"
    )


def queries_do_not_depend_on_their_batch(subject: Subject) -> None:
    """A query has the same scores alone and among others: nothing is learnt from test rows."""
    import numpy as np

    adapter, queries = _fitted(subject), _queries().features
    alone = np.concatenate([adapter.logits(queries[i : i + 1]) for i in range(3)])
    _expect_close(alone, _logits(subject)[:3], "a query alone and among others")


def asking_changes_nothing(subject: Subject) -> None:
    """Queries in between do not change the answers."""
    adapter = fit(subject)
    before = adapter.logits(_queries().features)
    adapter.logits(-3 * _queries().features[::-1])
    _expect_close(adapter.logits(_queries().features), before, "the same queries, asked again after others,")


def same_key_same_logits(subject: Subject) -> None:
    """The same rows and the same key give the same bits."""
    import numpy as np

    again = fit(subject).logits(_queries().features)
    expect(np.array_equal(again, _logits(subject)), "a second fit with the same key gives other logits")


def every_class_keeps_its_column(subject: Subject) -> None:
    """A class without rows still has its column, and is not predicted for rows of other classes."""
    import numpy as np

    rows = make_class_rows(_TRAIN, Key.of(0).fold("train"))
    kept = rows.labels != 2  # in the middle, so that a label that is used as a place shows
    adapter = fit(subject, ClassRows(rows.features[kept], rows.labels[kept], rows.centres))
    queries = _queries()
    logits = adapter.logits(queries.features)
    expect(
        logits.shape == (_QUERIES, _CLASSES),
        f"logits have shape {logits.shape}: expected {(_QUERIES, _CLASSES)}",
    )
    others = queries.labels != 2
    right = float((np.asarray(logits).argmax(1)[others] == queries.labels[others]).mean())
    expect(right >= SEPARABLE, f"with one class without rows, accuracy on the others is {right:.2f}")


def text_is_needed_as_declared(subject: Subject) -> None:
    """``text=None`` is an error that says so when the record needs text, and no matter when it does not."""
    rows = make_class_rows(_TRAIN, Key.of(0).fold("train"))
    val = make_class_rows(_VAL, Key.of(0).fold("val"))

    def without_text() -> Any:
        return build(subject).fit(
            rows.features,
            rows.labels,
            classes=_CLASSES,
            key=Key.of(0),
            val=(val.features, val.labels),
            text=None,
        )

    if _needs_text(subject):
        refuses(without_text, "fit with text=None of an adapter whose record needs text")
    else:
        without_text()


def inputs_are_left_alone(subject: Subject) -> None:
    """Neither rows nor labels are changed."""
    import numpy as np

    rows = make_class_rows(_TRAIN, Key.of(0).fold("train"))
    kept = rows.features.copy(), rows.labels.copy()
    queries = _queries().features
    before = queries.copy()
    fit(subject, rows).logits(queries)
    expect(np.array_equal(rows.features, kept[0]), "fit changed the features it was given: work on a copy")
    expect(np.array_equal(rows.labels, kept[1]), "fit changed the labels it was given: work on a copy")
    expect(np.array_equal(queries, before), "logits changed the features it was given: work on a copy")


def report_goes_into_a_row(subject: Subject) -> None:
    """``report`` gives JSON values, and ``selection`` says how settings are chosen."""
    expect_json(_fitted(subject).report(), "report()")
    expect_text(getattr(_fitted(subject), "selection", None), "selection")


def _expect_close(one: NDArray[np.float64], other: NDArray[np.float64], what: str) -> None:
    import numpy as np

    finite = np.isfinite(other)
    expect(np.array_equal(finite, np.isfinite(one)), f"{what}: other classes are ruled out")
    scale = max(float(np.abs(other[finite]).max()), 1e-12)
    off = float(np.abs(one[finite] - other[finite]).max()) / scale
    expect(off <= BATCH_TOLERANCE, f"{what} has logits off by {off:.2g}: allowed is {BATCH_TOLERANCE:g}")


def _exercise(subject: Subject) -> None:
    adapter = fit(subject)
    adapter.logits(_queries().features)
    adapter.report()


CHECKS: tuple[CheckFunction, ...] = (
    *WITH_SETTINGS,
    fit_returns_an_adapter,
    logits_have_the_declared_shape,
    logits_are_numbers,
    separable_classes_are_learnt,
    queries_do_not_depend_on_their_batch,
    asking_changes_nothing,
    same_key_same_logits,
    every_class_keeps_its_column,
    text_is_needed_as_declared,
    inputs_are_left_alone,
    report_goes_into_a_row,
    *watched(_exercise),
)
