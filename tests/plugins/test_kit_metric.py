"""Broken metrics are caught: a sound one with one fault each, and the check that names it; the others still pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lpcm.plugin.records import (
    MetricRecord,
)

from .faults import failed

pytestmark = pytest.mark.usefixtures("generators_put_back")


class SoundMetric:
    card = "share of right predictions"

    def __call__(self, truth: np.ndarray, prediction: np.ndarray) -> float:
        return float((truth == prediction).mean())

    def null(self, key: Any, truth: np.ndarray, prediction: np.ndarray) -> float:
        generator = key.generator()
        return float(np.mean([self(truth, generator.permutation(prediction)) for _ in range(8)]))


class Percent(SoundMetric):
    def __call__(self, truth: np.ndarray, prediction: np.ndarray) -> float:
        return 100 * super().__call__(truth, prediction)


class Flattering(SoundMetric):
    def null(self, key: Any, truth: np.ndarray, prediction: np.ndarray) -> float:
        return 0.9


class Nothing(SoundMetric):
    card = ""


class Ordered(SoundMetric):
    def __call__(self, truth: np.ndarray, prediction: np.ndarray) -> float:
        right = truth == prediction
        return float(np.average(right, weights=np.arange(len(right)) + 1.0))


class Capped(SoundMetric):
    def __call__(self, truth: np.ndarray, prediction: np.ndarray) -> float:
        return 0.9 * super().__call__(truth, prediction)


class GlobalNull(SoundMetric):
    def null(self, key: Any, truth: np.ndarray, prediction: np.ndarray) -> float:
        return 0.2 + 0.01 * np.random.random()


METRIC = MetricRecord(name="sound", summary="s", loader="a:b")


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (SoundMetric, set()),
        (Percent, {"values_stay_in_range", "perfect_is_the_best_end_of_the_range"}),
        (Flattering, {"noise_scores_its_null"}),
        (Nothing, {"card_is_written"}),
        (Ordered, {"order_of_samples_does_not_matter"}),
        (Capped, {"perfect_is_the_best_end_of_the_range"}),
        (GlobalNull, {"null_is_decided_by_its_key", "leaves_global_generators_alone"}),
    ],
)
def test_a_broken_metric_is_caught(broken: type, caught: set[str]) -> None:
    assert failed(METRIC, broken) == caught


def test_a_metric_declared_the_wrong_way_round_is_caught() -> None:
    record = replace(METRIC, higher_is_better=False)
    assert failed(record, SoundMetric) == {"direction_is_as_declared", "perfect_is_the_best_end_of_the_range"}
