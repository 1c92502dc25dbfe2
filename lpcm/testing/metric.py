"""What a metric promises: a range, a direction, a null that noise meets. Refuses to judge its use.

Source: the contract ``lpcm.plugin.contracts.Metric``. A metric that reads neither labels (n,) nor
latents (n, d) gives its own case: ``example(key) -> (truth, perfect, noise)``, three arrays of
equally many rows, or ``Factors`` and two arrays. Where the best end of the range is a limit that no finite sample
reaches, it says how near a perfect prediction comes: ``nearness``, in units of the score.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from lpcm.keys import Key
from lpcm.plugin.records import MetricRecord
from lpcm.plugin.truth import Factors
from lpcm.testing.common import WITH_SETTINGS, expect_text, watched
from lpcm.testing.data import make_pairs
from lpcm.testing.subject import Broken, CheckFunction, Subject, expect

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Truth = NDArray[Any] | Factors

_N = 1031

# Sums of about a thousand fp64 terms in another order differ by less than 1e-12 of their size.
ORDER_TOLERANCE = 1e-9

# A ratio of fp64 sums.
EXACT = 1e-6

# Noise scatters around the null by about 1/sqrt(n) = 0.03 of the way to perfect; ten times that is allowed.
NULL_TOLERANCE = 0.3


def build(subject: Subject) -> Any:
    """A new metric with the settings of its record."""
    return subject.load()()


def _case(subject: Subject) -> tuple[Truth, NDArray[Any], NDArray[Any]]:
    """Truth, a perfect prediction, and one that knows nothing."""
    return subject.once("case", lambda: _make_case(build(subject)))


def _make_case(metric: Any) -> tuple[Truth, NDArray[Any], NDArray[Any]]:
    import numpy as np

    if hasattr(metric, "example"):
        truth, perfect, noise = metric.example(Key.of(0))
        return truth, perfect, noise
    generator = Key.of(0).fold("metric").generator()
    labels = np.arange(_N, dtype=np.int64) % 5
    latents = make_pairs(3, _N, Key.of(0)).z
    errors = []
    for truth in (labels, latents):
        try:
            float(metric(truth, truth.copy()))
        except Exception as error:  # it may read only one of them
            errors.append(f"{type(error).__name__}: {error}")
            continue
        return truth, truth.copy(), generator.permutation(truth)
    raise Broken(f"reads neither labels (n,) nor latents (n, d): {'; '.join(errors)}. Give it example(key)")


def _value(subject: Subject, prediction: NDArray[Any]) -> float:
    return float(build(subject)(_case(subject)[0], prediction))


def _null(subject: Subject, key: Key) -> float:
    truth, _, noise = _case(subject)
    return float(build(subject).null(key, truth, noise))


def values_stay_in_range(subject: Subject) -> None:
    """Perfect, noise and null are finite and inside the record's ``range``."""
    low, high = cast(MetricRecord, subject.record).range
    expect(low < high, f"range is ({low}, {high}): expected the lower end first")
    _, perfect, noise = _case(subject)
    values = {
        "perfect": _value(subject, perfect),
        "noise": _value(subject, noise),
        "null": _null(subject, Key.of(0)),
    }
    for what, value in values.items():
        expect(math.isfinite(value), f"the {what} case scores {value}")
        slack = 1e-9 * max(1.0, abs(value))  # rounding of fp64 sums
        expect(
            low - slack <= value <= high + slack,
            f"the {what} case scores {value}, outside of ({low}, {high})",
        )


def perfect_is_the_best_end_of_the_range(subject: Subject) -> None:
    """A perfect prediction scores the best value that the range allows."""
    record = cast(MetricRecord, subject.record)
    best = record.range[1] if record.higher_is_better else record.range[0]
    value = _value(subject, _case(subject)[1])
    nearness = float(getattr(build(subject), "nearness", EXACT))
    expect(
        math.isinf(best) or abs(value - best) < nearness,
        f"a perfect prediction scores {value}: the best value of the range is {best}",
    )


def direction_is_as_declared(subject: Subject) -> None:
    """``higher_is_better`` says which of perfect and noise scores higher."""
    _, perfect, noise = _case(subject)
    better, worse = _value(subject, perfect), _value(subject, noise)
    higher = cast(MetricRecord, subject.record).higher_is_better
    expect(
        better > worse if higher else better < worse,
        f"perfect scores {better}, noise {worse}: declared is: {'higher' if higher else 'lower'} is better",
    )


def noise_scores_its_null(subject: Subject) -> None:
    """What knows nothing scores about what ``null`` says that chance gives."""
    _, perfect, noise = _case(subject)
    null, got, best = _null(subject, Key.of(0)), _value(subject, noise), _value(subject, perfect)
    off = abs(got - null) / max(abs(best - null), 1e-12)
    expect(off < NULL_TOLERANCE, f"noise scores {got:.4g}, null() says {null:.4g}, perfect is {best:.4g}")


def null_is_decided_by_its_key(subject: Subject) -> None:
    """The same key gives the same null."""
    expect(_null(subject, Key.of(5)) == _null(subject, Key.of(5)), "null() differs for the same key")


def order_of_samples_does_not_matter(subject: Subject) -> None:
    """Truth and prediction in another common order score the same."""
    truth, _, noise = _case(subject)
    order = Key.of(1).fold("order").generator().permutation(len(truth))
    one, other = _value(subject, noise), float(build(subject)(_rows(truth, order), noise[order]))
    expect(
        abs(one - other) <= ORDER_TOLERANCE * max(1.0, abs(one)), f"in another order {one} becomes {other}"
    )


def inputs_are_left_alone(subject: Subject) -> None:
    """Neither truth nor prediction is changed."""
    import numpy as np

    given, _, original = _case(subject)
    # Copies: what a metric spoils here, the other checks must not see.
    truth, noise = _rows(given, np.arange(len(given))), original.copy()
    metric = build(subject)
    metric(truth, noise)
    metric.null(Key.of(0), truth, noise)
    unchanged = np.array_equal(_values(truth), _values(given)) and np.array_equal(noise, original)
    expect(unchanged, "the metric changed the arrays it was given: work on a copy")


def card_is_written(subject: Subject) -> None:
    """``card`` tells the reader what the number means."""
    expect_text(getattr(build(subject), "card", None), "card")


def _rows(truth: Truth, rows: NDArray[Any]) -> Truth:
    """These rows of the truth, as a copy."""
    return truth.take(rows) if isinstance(truth, Factors) else truth[rows]


def _values(truth: Truth) -> NDArray[Any]:
    return truth.values if isinstance(truth, Factors) else truth


def _exercise(subject: Subject) -> None:
    _value(subject, _case(subject)[2])
    _null(subject, Key.of(0))


CHECKS: tuple[CheckFunction, ...] = (
    *WITH_SETTINGS,
    values_stay_in_range,
    perfect_is_the_best_end_of_the_range,
    direction_is_as_declared,
    noise_scores_its_null,
    null_is_decided_by_its_key,
    order_of_samples_does_not_matter,
    inputs_are_left_alone,
    card_is_written,
    *watched(_exercise),
)
