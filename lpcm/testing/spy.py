"""A bench that remembers what a task asked of it. It holds no test label, so that none can leak.

It refuses the test block as the real bench does, and notes the attempt even when the task swallows the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import SealError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block, TextPrompts
from lpcm.testing.data import make_class_rows

CLASSES = 5
_ROWS = {"train": 160, "val": 30}


def block_of(split: str) -> Block:
    """Rows of separable classes with their labels, as a bench hands them out."""
    rows = make_class_rows(_ROWS[split], Key.of(0).fold(split))
    ids = tuple(f"{split}/{i}" for i in range(len(rows.labels)))
    return Block(rows.features, rows.labels, ids, ("",) * len(ids))


class SpyBench:
    """A bench of five separable classes; see ``lpcm.plugin.contracts.Bench``.

    Attributes:
        misdeeds: what the task tried that it must not.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self.classes = tuple(f"class {label}" for label in range(CLASSES))
        self.misdeeds: list[str] = []
        self._open = True

    def close(self) -> None:
        """End fitting."""
        self._open = False

    def splits(self) -> Sequence[str]:
        """The splits that may be asked for."""
        self._note("splits()")
        return tuple(_ROWS)

    def block(self, split: str) -> Block:
        """Features and labels of the training side."""
        self._note(f"block({split!r})")
        if split not in _ROWS:
            if self._open:
                self.misdeeds.append(f"block({split!r}) while fitting")
            raise SealError(f"a task asked for the {split} block", "predict() receives the test features")
        return block_of(split)

    def prompts(self) -> TextPrompts:
        """One unit vector a class."""
        self._note("prompts()")
        return TextPrompts(make_class_rows(CLASSES, Key.of(0)).centres, self.classes)

    def disentangler(self, rows: NDArray[np.float32], key: Key, **settings: Any) -> _Unchanged:
        """One that leaves features as they are."""
        self._note("disentangler()")
        return _Unchanged()

    def adapter(self, **settings: Any) -> _NearestMean:
        """One that takes the nearest class mean."""
        self._note("adapter()")
        return _NearestMean()

    def _note(self, call: str) -> None:
        if not self._open:
            self.misdeeds.append(f"{call} after fitting was closed")
            raise SealError(f"a task called {call} after fitting was closed")


class _Unchanged:
    def fit(self, X: NDArray[np.float32]) -> _Unchanged:
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(X, dtype=np.float32)

    def report(self) -> Mapping[str, Any]:
        return {}


class _NearestMean:
    selection = "none: nothing is chosen"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> _NearestMean:
        self._means = np.full((classes, features.shape[1]), np.inf)
        for label in range(classes):
            if (labels == label).any():
                self._means[label] = features[labels == label].mean(axis=0)
            elif text is not None:
                self._means[label] = text.features[label]
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        differences = features[:, None, :].astype(np.float64) - self._means[None]
        distances: NDArray[np.float64] = np.square(differences).sum(axis=2)
        return -distances

    def report(self) -> Mapping[str, Any]:
        return {}
