"""Zero-shot: cosine between an image and each class's prompts. Refuses encoders that read no text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tuning import Fold, Tuned
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts


class ZeroShot:
    """The class whose prompts are nearest to the image by cosine.

    Source: Radford et al. 2021, section 3.1, with the mean over the templates taken in feature space.
    """

    selection = "none: nothing is chosen"

    published = Published(
        settings_on=LooksAt.NOTHING,
        rule="nothing is chosen",
        source="Radford et al. 2021, section 3.1",
    )

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> ZeroShot:
        """Take the (c, d) class vectors of ``text``; rows and labels are not looked at.

        Raises:
            UsageError: when ``text`` is ``None``.
            DataError: when it has another number of classes.
        """
        if text is None:
            raise UsageError(
                "zero-shot needs text features, and this encoder reads no text",
                "choose an encoder that reads text (lpcm-eval ls encoders), or another adapter",
            )
        if len(text.features) != classes:
            raise DataError(
                f"zero-shot was given prompts of {len(text.features)} classes: expected {classes}"
            )
        self._vectors = _unit(text.features.astype(np.float64))
        return self

    def tune(self, folds: Sequence[Fold], *, classes: int, key: Key) -> Tuned:
        """Nothing: there is nothing to choose."""
        return Tuned()

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Cosine with each class, (q, d) -> (q, c). Raises ``DataError`` when the widths differ."""
        if features.shape[1] != self._vectors.shape[1]:
            raise DataError(
                f"image features have width {features.shape[1]} and text features {self._vectors.shape[1]}:"
                " zero-shot needs both in one space"
            )
        cosine: NDArray[np.float64] = _unit(features.astype(np.float64)) @ self._vectors.T
        return cosine

    def report(self) -> Mapping[str, Any]:
        """Nothing: there is nothing to choose."""
        return {}


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
