"""Broken adapters are caught: a sound one with one fault each, and the check that names it; the others still pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lpcm.plugin.records import (
    AdapterRecord,
    Modality,
)

from .faults import failed

pytestmark = pytest.mark.usefixtures("generators_put_back")


class SoundAdapter:
    selection = "none"

    def fit(self, features, labels, *, classes, key, val=None, text=None):  # type: ignore[no-untyped-def]
        self.means = np.zeros((classes, features.shape[1]))
        self.missing = ~np.isin(np.arange(classes), labels)
        for label in set(labels.tolist()):
            self.means[label] = features[labels == label].mean(axis=0)
        return self

    def logits(self, features: np.ndarray) -> np.ndarray:
        scores = features.astype(float) @ self.means.T
        scores[:, self.missing] = -np.inf
        return scores

    def report(self) -> Mapping[str, Any]:
        return {}


class Transductive(SoundAdapter):
    def logits(self, features: np.ndarray) -> np.ndarray:
        return super().logits(features - 0.1 * features.mean(axis=0))


class SeenClassesOnly(SoundAdapter):
    def logits(self, features: np.ndarray) -> np.ndarray:
        return super().logits(features)[:, ~self.missing]


class AlwaysTheFirst(SoundAdapter):
    def logits(self, features: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(5.0)[::-1], (len(features), 1))


class SilentlyTextless(SoundAdapter):
    """Its record says that it needs text."""


class NeedsUndeclaredText(SoundAdapter):
    def fit(self, features, labels, **more):  # type: ignore[no-untyped-def]
        more["text"].features.sum()
        return super().fit(features, labels, **more)


class Restless(SoundAdapter):
    def logits(self, features: np.ndarray) -> np.ndarray:
        scores = super().logits(features)
        self.means = self.means + 0.01 * features[0]
        return scores


ADAPTER = AdapterRecord(name="sound", summary="s", loader="a:b")


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (SoundAdapter, set()),
        (Transductive, {"queries_do_not_depend_on_their_batch"}),
        (SeenClassesOnly, {"every_class_keeps_its_column"}),
        (AlwaysTheFirst, {"separable_classes_are_learnt", "every_class_keeps_its_column"}),
    ],
)
def test_a_broken_adapter_is_caught(broken: type, caught: set[str]) -> None:
    assert failed(ADAPTER, broken) == caught


def test_an_adapter_that_hides_what_it_needs_is_caught() -> None:
    assert "text_is_needed_as_declared" in failed(ADAPTER, NeedsUndeclaredText)
    record = replace(ADAPTER, needs=(Modality.IMAGE, Modality.TEXT))
    assert failed(record, SilentlyTextless) == {"text_is_needed_as_declared"}


def test_an_adapter_that_learns_from_queries_is_caught() -> None:
    assert "asking_changes_nothing" in failed(ADAPTER, Restless)
