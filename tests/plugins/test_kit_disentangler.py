"""Broken disentanglers are caught: a sound one with one fault each, and the check that names it"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lpcm.plugin.records import (
    DisentanglerRecord,
    Param,
)

from .faults import failed

pytestmark = pytest.mark.usefixtures("generators_put_back")


class SoundDisentangler:
    def __init__(self, *, k: int = 3, random_state: int = 0) -> None:
        self.k, self.random_state = k, random_state

    def fit(self, X: np.ndarray) -> SoundDisentangler:
        rows = X.astype(float)
        self.mean_ = rows.mean(axis=0)
        vectors = np.linalg.eigh(np.cov(rows.T))[1]
        self.components_ = vectors.T[::-1][: self.k]
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return ((X - self.mean_) @ self.components_.T).astype(np.float32)

    def report(self) -> Mapping[str, Any]:
        return {"k": self.k}


class FitsNothing(SoundDisentangler):
    def fit(self, X: np.ndarray) -> Any:
        super().fit(X)


class DoublePrecision(SoundDisentangler):
    def transform(self, X: np.ndarray) -> np.ndarray:
        return super().transform(X).astype(np.float64)


class CentresTheBatch(SoundDisentangler):
    def transform(self, X: np.ndarray) -> np.ndarray:
        return super().transform(X - X.mean(axis=0) + self.mean_)


class FirstRowsOnly(SoundDisentangler):
    def fit(self, X: np.ndarray) -> Any:
        return super().fit(X[:9])


class Unrepeatable(SoundDisentangler):
    def fit(self, X: np.ndarray) -> Any:
        super().fit(X)
        self.components_ = self.components_ + np.random.default_rng().normal(
            scale=1e-3, size=self.components_.shape
        )
        return self


class GlobalDraw(SoundDisentangler):
    def fit(self, X: np.ndarray) -> Any:
        random.random()
        return super().fit(X)


class StaleMap(SoundDisentangler):
    def transform(self, X: np.ndarray) -> np.ndarray:
        return 2 * super().transform(X)


class SpoilsRows(SoundDisentangler):
    def fit(self, X: np.ndarray) -> Any:
        X -= X.mean(axis=0)
        super().fit(X)
        return self


class ReportsArrays(SoundDisentangler):
    def report(self) -> Mapping[str, Any]:
        return {"mean": self.mean_}


class LearnsFromQueries(SoundDisentangler):
    def transform(self, X: np.ndarray) -> np.ndarray:
        codes = super().transform(X)
        if len(X) > 1:
            self.mean_ = self.mean_ + 1e-3 * X.mean(axis=0)
        return codes


class FalsePromise(SoundDisentangler):
    equivariance = ("rotation",)

    def fit(self, X: np.ndarray) -> Any:
        self.mean_ = X.mean(axis=0)
        self.components_ = np.eye(X.shape[1])[:3]  # the first features: a rotation changes what they are
        return self


DISENTANGLER = DisentanglerRecord(
    name="sound", summary="s", loader="a:b", params=(Param(name="k", help="h", default=3, type=int),)
)


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (SoundDisentangler, set()),
        (DoublePrecision, {"components_have_the_declared_shape"}),
        (CentresTheBatch, {"rows_do_not_depend_on_their_batch"}),
        (FirstRowsOnly, {"order_of_rows_does_not_matter"}),
        (Unrepeatable, {"same_random_state_same_components"}),
        (GlobalDraw, {"leaves_global_generators_alone"}),
        (StaleMap, {"components_are_the_linear_map"}),
        (ReportsArrays, {"report_goes_into_a_row"}),
        (FalsePromise, {"declared_equivariance_holds"}),
    ],
)
def test_a_broken_disentangler_is_caught(broken: type, caught: set[str]) -> None:
    assert failed(DISENTANGLER, broken) == caught


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (FitsNothing, "fit_returns_itself"),
        (SpoilsRows, "rows_are_left_alone"),
        (LearnsFromQueries, "transform_learns_nothing"),
    ],
)
def test_a_disentangler_that_breaks_several_promises_is_caught_by_the_right_one_too(
    broken: type, caught: str
) -> None:
    assert caught in failed(DISENTANGLER, broken)


def test_a_setting_that_the_loader_does_not_take_is_caught() -> None:
    record = replace(DISENTANGLER, params=(Param(name="width", help="h", default=3, type=int),))
    assert failed(record, SoundDisentangler) == {"settings_are_those_of_the_loader"}


def test_a_setting_with_another_default_is_caught() -> None:
    record = replace(DISENTANGLER, params=(Param(name="k", help="h", default=4, type=int),))
    assert failed(record, SoundDisentangler) == {"settings_are_those_of_the_loader"}
