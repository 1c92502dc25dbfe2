"""The disentanglement task: whether known factors lie on single components, and more so than by chance.

The disentangler is fitted on training features without labels; the codes of the test side are scored by a metric
against the test side's factors. Refuses to fit anything on those factors but what a metric itself holds out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.metrics.chance import halves, ideal, permuted, rotated, spread
from lpcm.metrics.comparison import Comparison, as_factors, varying
from lpcm.metrics.factor_metric import FactorMetric, Measurement
from lpcm.metrics.labelled import class_and_domain
from lpcm.plugin.contracts import Bench, Disentangler
from lpcm.plugin.truth import Factors, Score, Truth

METRICS = (
    "dci-d",
    "dci-c",
    "dci-i",
    "mig",
    "sap",
    "modularity",
    "infom",
    "infoc",
    "infoe",
    "irs",
    "mcc",
    "r2",
    "l1-probe",
    "top-m",
    "stumps",
)
"""What is scored when a study names no metric."""

OF_LABELS = ("accuracy", "balanced-accuracy")
"""Built-in metrics that score labels."""

SEEDS = (0, 1, 2)
DRAWS = 40
NULLS = 4

# Of nothing but these names: every encoder, disentangler and seed is asked about the same halves of the samples.
_HALVES = Key.of(0).fold("disentanglement", "halves")


class DisentanglementTask:
    """Disentanglement metrics over disentangler x metric x seed.

    Args:
        metrics: names, where the study has no axis ``metric``.
        draws: random halves of the test side for the interval, 2 or more.
        nulls: permutations and rotations that chance is averaged over, 1 or more.

    Raises:
        UsageError: for numbers below those.
    """

    truth = Truth.FACTORS

    def __init__(
        self, *, metrics: Sequence[str] | str = METRICS, draws: int = DRAWS, nulls: int = NULLS
    ) -> None:
        self.metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        if not self.metrics:
            raise UsageError(
                "metrics is empty: expected names, for example dci-d,mcc", "see: lpcm-eval ls metrics"
            )
        if draws < 2:
            raise UsageError(f"draws is {draws}: expected 2 or more, for example {DRAWS}")
        if nulls < 1:
            raise UsageError(f"nulls is {nulls}: expected 1 or more, for example {NULLS}")
        self.draws, self.nulls = draws, nulls

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """Points to be run; the metrics of one fit follow each other, since they share what they compute.

        Of several metrics, as of ``--metric all``, those of labels are left out: other tasks score by them.
        """
        asked = tuple(dict.fromkeys(axes.get("metric") or self.metrics))
        metrics = [name for name in asked if name.rpartition(":")[2] not in OF_LABELS] or asked
        for encoder in axes["encoder"]:
            for dataset in axes["dataset"]:
                for disentangler in axes.get("disentangler") or ("none",):
                    for seed in axes.get("seed") or SEEDS:
                        for metric in metrics:
                            yield {
                                "encoder": encoder,
                                "dataset": dataset,
                                "disentangler": disentangler,
                                "metric": metric,
                                "seed": seed,
                            }

    def fit(self, bench: Bench, axes: Mapping[str, Any]) -> FittedDisentanglement:
        """Fit the cell's disentangler on training features.

        Raises:
            UsageError: for a metric that does not score codes against factors.
            DataError: when the dataset knows no factors and has no two classes in two domains, or when features are
                not finite.
        """
        metric = bench.metric(axes["metric"])
        if getattr(metric, "truth", None) is not Truth.FACTORS:
            raise UsageError(
                f"metric {axes['metric']!r} does not score codes against factors",
                f"take one that does, for example {', '.join(METRICS[:4])}; see: lpcm-eval ls metrics",
            )
        train = bench.block("train")
        known, warnings = bench.factors("train"), []
        if known is None:
            known = class_and_domain(train.labels, train.domains)
            warnings.append("the dataset knows no factors: class and domain are taken for them")
        if known is None:
            raise DataError(
                "the dataset knows no factors, and its classes and domains do not both take two values or more",
                "take one that does, for example rendered, or a folder of domains that hold classes",
            )
        rows = train.features
        with threadpool_limits(1, user_api="blas"):
            disentangler = bench.disentangler(rows, bench.key.fold("disentangler"))
        report = dict(disentangler.report())
        warnings.extend(report.pop("warnings", ()))
        facts = {
            "fit_on": "train",
            "fit_rows": len(rows),
            "fit_on_what": "train rows, labels and factors unused",
            "factors": {name: kind.value for name, kind in zip(known.names, known.kinds, strict=True)},
            "draws": self.draws,
            "nulls": self.nulls,
            "disentangler": report,
        }
        judge = Judge(axes["metric"], metric, bench.key.fold("chance"), self.draws, self.nulls)
        return FittedDisentanglement(disentangler, judge, facts, tuple(warnings))

    def score(self, predictions: NDArray[np.floating], truth: Factors | None, classes: int) -> Score:
        """Codes are scored by the cell's own metric: see ``FittedDisentanglement.score``."""
        raise UsageError("a disentanglement cell is scored by what fit() returned, which knows the metric")


@dataclass(frozen=True, eq=False)
class Judge:
    """A metric with the chance that it is read beside.

    Args:
        name: of the metric.
        metric: scores codes against factors.
        key: of permutations and rotations.
        draws: halves for the interval.
        nulls: permutations and rotations.
    """

    name: str
    metric: Any
    key: Key
    draws: int
    nulls: int

    def score(self, comparison: Comparison) -> tuple[Score, list[str]]:
        """The score with nulls, ceiling and draws, and notes on those that could not be had.

        Raises:
            DataError: when the metric refuses these codes and factors.
        """
        measured = self._measure(comparison)
        ceiling = {
            f"factors as {name}": self._measure(codes).value for name, codes in ideal(comparison).items()
        }
        draws, notes = self._draws(comparison, measured.value)
        score = Score(
            metric=self.name,
            value=measured.value,
            draws=draws,
            null={
                "permutation": self._mean(comparison, permuted),
                "rotation": self._mean(comparison, rotated),
            },
            ceiling=ceiling,
            details=measured.details,
        )
        return score, notes

    def _measure(self, comparison: Comparison) -> Measurement:
        if isinstance(self.metric, FactorMetric):
            return self.metric.measure(comparison)
        return Measurement(float(self.metric(comparison.factors, comparison.codes)))

    def _mean(self, comparison: Comparison, change: Any) -> float:
        keys = [self.key.fold("null", draw) for draw in range(self.nulls)]
        return float(np.mean([self._measure(change(comparison, key)).value for key in keys]))

    def _draws(self, comparison: Comparison, value: float) -> tuple[NDArray[np.float64] | None, list[str]]:
        try:
            on_halves = np.array(
                [self._measure(half).value for half in halves(comparison, _HALVES, self.draws)]
            )
        except DataError as error:  # half of the samples may be too few for what all of them allow
            return None, [f"no interval: on half of the samples, {error.message}"]
        if len(on_halves) < 2:
            return None, [
                f"no interval: fewer than 2 of {self.draws} random halves of {comparison.n} samples can be scored"
            ]
        span = getattr(self.metric, "range", (-np.inf, np.inf))
        return spread(value, on_halves, span), []


@dataclass(frozen=True, eq=False)
class FittedDisentanglement:
    """A fitted cell: a disentangler, and the metric that will judge its codes."""

    _disentangler: Disentangler
    _judge: Judge
    facts: Mapping[str, Any]
    warnings: Sequence[str]
    selection: str = "none: nothing is chosen"

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Codes of the test side, (n, d) -> (n, k)."""
        with threadpool_limits(1, user_api="blas"):
            return self._disentangler.transform(features)

    def score(self, predictions: NDArray[np.floating], truth: Factors | None, classes: int) -> Score:
        """Score (n, k) codes against the factors that the seal just handed out.

        Raises:
            DataError: when there are no factors, none that varies, too few samples, or codes that are not finite.
        """
        if truth is None:
            raise DataError(
                "nothing is known of the test side that could be a factor",
                "take a dataset that knows factors, for example rendered",
            )
        factors, notes = usable(as_factors(truth))
        # One thread: a row has the same bits on any number of cores, and matrices this small gain nothing from more.
        with threadpool_limits(1, user_api="blas"):
            comparison = Comparison.in_order(factors, predictions)
            notes += about_codes(comparison)
            score, told = self._judge.score(comparison)
        details = {
            **score.details,
            "samples": comparison.n,
            "k": comparison.k,
            "factors": {
                name: f"{kind.value}, {len(np.unique(column))} values"
                for name, kind, column in zip(factors.names, factors.kinds, factors.values.T, strict=True)
            },
            "notes": notes + told,
        }
        return Score(
            metric=score.metric,
            value=score.value,
            draws=score.draws,
            null=score.null,
            ceiling=score.ceiling,
            details=details,
        )


def usable(factors: Factors) -> tuple[Factors, list[str]]:
    """The factors that vary, and a note on those that do not.

    Raises:
        DataError: when none does.
    """
    varies = varying(factors)
    still = [name for name, moves in zip(factors.names, varies, strict=True) if not moves]
    if not varies.any():
        raise DataError(
            f"all {len(still)} factors are constant over the {len(factors)} test samples: there is nothing to find"
        )
    if not still:
        return factors, []
    kept = np.flatnonzero(varies)
    names = tuple(factors.names[place] for place in kept)
    kinds = tuple(factors.kinds[place] for place in kept)
    note = f"left out, being constant over the test samples: {', '.join(still)}"
    return Factors(names, kinds, factors.values[:, kept]), [note]


def about_codes(comparison: Comparison) -> list[str]:
    """What a reader should know of the codes themselves."""
    notes = []
    constant = int((~comparison.active).sum())
    if constant:
        notes.append(f"{constant} of {comparison.k} components are constant over the test samples")
    rank = int(np.linalg.matrix_rank(comparison.standard))
    if rank < comparison.k - constant:
        notes.append(
            f"{comparison.k - constant} components that vary span only {rank} dimensions of {comparison.n} samples: "
            "some are combinations of others"
        )
    if comparison.k < comparison.f:
        notes.append(f"{comparison.k} components cannot hold {comparison.f} factors one by one")
    return notes
