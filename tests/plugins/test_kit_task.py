"""Broken tasks are caught: a sound one with one fault each, and the check that names it; the others still pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from lpcm.errors import SealError
from lpcm.plugin.records import (
    TaskRecord,
)
from lpcm.plugin.truth import Partition, Score, Truth

from .faults import failed

pytestmark = pytest.mark.usefixtures("generators_put_back")


@dataclass
class Fitted:
    adapter: Any
    bench: Any = None
    facts: Mapping[str, Any] = None  # type: ignore[assignment]
    selection: str = "none"
    warnings: Sequence[str] = ()

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self.adapter.logits(features).argmax(axis=1)


class SoundTask:
    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        for encoder in axes["encoder"]:
            for seed in axes["seed"]:
                yield {"encoder": encoder, "dataset": axes["dataset"][0], "seed": seed}

    def fit(self, bench: Any, axes: Mapping[str, Any]) -> Fitted:
        train = bench.block("train")
        adapter = bench.adapter().fit(train.features, train.labels, classes=len(bench.classes), key=bench.key)
        return Fitted(adapter, bench, {"rows": len(train)})

    def score(self, predictions: np.ndarray, labels: np.ndarray, classes: int) -> Score:
        right = (predictions == labels).astype(float)
        return Score(
            metric="accuracy", value=float(right.mean()), outcomes=right, null={"chance": 1 / classes}
        )


class Peeks(SoundTask):
    def fit(self, bench: Any, axes: Mapping[str, Any]) -> Fitted:
        with contextlib.suppress(SealError):  # it hides that it tried
            bench.block("test")
        return super().fit(bench, axes)


class FitsLater(SoundTask):
    def fit(self, bench: Any, axes: Mapping[str, Any]) -> Fitted:
        outer = super().fit(bench, axes)

        class Later(Fitted):
            def predict(self, features: np.ndarray) -> np.ndarray:
                with contextlib.suppress(SealError):
                    bench.block("train")
                return super().predict(features)

        return Later(outer.adapter, bench, outer.facts)


class NoNull(SoundTask):
    def score(self, predictions: np.ndarray, labels: np.ndarray, classes: int) -> Score:
        return replace(super().score(predictions, labels, classes), null={})


class OtherMean(SoundTask):
    def score(self, predictions: np.ndarray, labels: np.ndarray, classes: int) -> Score:
        score = super().score(predictions, labels, classes)
        return replace(score, value=100 * score.value)


class TwiceTheSame(SoundTask):
    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        yield from super().cells(axes)
        yield from super().cells(axes)


class PredictsScores(SoundTask):
    def fit(self, bench: Any, axes: Mapping[str, Any]) -> Fitted:
        fitted = super().fit(bench, axes)

        class Scores(Fitted):
            def predict(self, features: np.ndarray) -> np.ndarray:
                return super().predict(features).astype(float)

        return Scores(fitted.adapter, bench, fitted.facts)


class RanksTheBatch(SoundTask):
    def fit(self, bench: Any, axes: Mapping[str, Any]) -> Fitted:
        fitted = super().fit(bench, axes)

        class Ranks(Fitted):
            def predict(self, features: np.ndarray) -> np.ndarray:
                return (np.argsort(np.argsort(features[:, 0])) * 5 // len(features)).astype(np.int64)

        return Ranks(fitted.adapter, bench, fitted.facts)


TASK = TaskRecord(name="sound", summary="s", loader="a:b")


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (SoundTask, set()),
        (Peeks, {"test_labels_are_never_asked_for", "nothing_is_fitted_after_the_seal_opens"}),
        (FitsLater, {"nothing_is_fitted_after_the_seal_opens"}),
        (NoNull, {"null_is_declared"}),
        (OtherMean, {"value_is_the_mean_of_outcomes"}),
        (TwiceTheSame, {"cells_are_points_of_the_study"}),
        (PredictsScores, {"predictions_are_labels"}),
        (RanksTheBatch, {"predictions_do_not_depend_on_other_rows"}),
    ],
)
def test_a_broken_task_is_caught(broken: type, caught: set[str]) -> None:
    assert failed(TASK, broken) == caught


class OverlappingSides(SoundTask):
    def partition(self, roster: Any, axes: Mapping[str, Any]) -> Partition:
        places = np.arange(len(roster.ids))
        return Partition(train=places[:150], val=places[150:], test=places[140:200])


class ScoresLogits(SoundTask):
    def fit(self, bench: Any, axes: Mapping[str, Any]) -> Fitted:
        fitted = super().fit(bench, axes)

        class Logits(Fitted):
            def predict(self, features: np.ndarray) -> np.ndarray:
                return self.adapter.logits(features)

        return Logits(fitted.adapter, bench, fitted.facts)

    def score(self, predictions: np.ndarray, labels: np.ndarray, classes: int) -> Score:
        return super().score(predictions.argmax(axis=1), labels, classes)


class ScoresFactors(SoundTask):
    truth = Truth.FACTORS

    def score(self, predictions: np.ndarray, factors: Any, classes: int) -> Score:
        return super().score(predictions, factors.values[:, 0], classes)


class BorrowsWithoutSaying(SoundTask):
    def fit(self, bench: Any, axes: Mapping[str, Any]) -> Fitted:
        with contextlib.suppress(SealError):
            bench.oracle()
        return super().fit(bench, axes)


class BorrowsAndSays(BorrowsWithoutSaying):
    def oracle(self, axes: Mapping[str, Any]) -> bool:
        return True


@pytest.mark.parametrize(
    ("task", "caught"),
    [
        (OverlappingSides, {"the_partition_keeps_sides_apart"}),
        (ScoresLogits, set()),
        (ScoresFactors, set()),
        (
            BorrowsWithoutSaying,
            {"test_labels_are_never_asked_for", "nothing_is_fitted_after_the_seal_opens"},
        ),
        (BorrowsAndSays, set()),
    ],
)
def test_what_a_task_may_also_have_is_checked(task: type, caught: set[str]) -> None:
    assert failed(TASK, task) == caught
