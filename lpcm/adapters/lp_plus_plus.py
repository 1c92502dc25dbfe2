"""LP++: a linear probe whose class weights are blended with the prompts, with step sizes from the data.

Refuses to tune a learning rate: the steps are bounds on the curvature, and only the block is chosen, on validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.validation import Standing, standing, validation_rows
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

STEPS = 10
"""Steps of the class weights from one step of the blending to the next, as published."""

MOMENTUM = 0.9

START = 250.0
"""Factor of the first blending, as published: for CLIP, where an image has a small cosine with its prompt."""


class LPPlusPlus:
    """Logits f . (w_c + alpha_c t_c) of unit features f and unit class vectors t, by gradient descent on both.

    The mean cross-entropy of the shots is lowered in blocks: ten steps of W with momentum 0.9 and length
    4 n / lambda_max(F' F), then one of alpha with length n / (4 max_c sum_i (f_i . t_c)^2). W starts at the sum
    of each class's rows, all alpha at ``start`` times the mean over classes of a class's mean f . t_c.

    Args:
        blocks: of ten steps; the one that stands best on validation is kept, the start among them.
        start: factor of the first blending, above 0. Steps of alpha are so short that it nearly stays there.

    Source: Huang et al. 2024, "LP++: a surprisingly strong linear probe for few-shot CLIP" (CVPR);
    step sizes, starts and constants as in the released code (``LinearProbe_P2``).

    Example:
        >>> prompts = TextPrompts(np.eye(2, 3, dtype=np.float32), ("cat", "dog"))
        >>> X, y = np.array([[1, 0, 1], [0, 1, 1]], np.float32), np.arange(2)
        >>> LPPlusPlus().fit(X, y, classes=2, key=Key.of(0), val=(X, y), text=prompts).logits(X).argmax(1)
        array([0, 1])
    """

    selection = "validation accuracy, then log-loss, then the earlier block"

    published = Published(
        settings_on=LooksAt.FEW,
        rule="the step is that of the best accuracy on few-shot validation rows",
        source="released code of Huang et al. 2024",
    )

    def __init__(self, *, blocks: int = 30, start: float = START) -> None:
        if blocks < 1:
            raise UsageError(f"blocks is {blocks}: expected a whole number of 1 or more")
        if not 0 < start < np.inf:
            raise UsageError(f"start is {start}: expected a number above 0")
        self.blocks, self.start = blocks, start

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> LPPlusPlus:
        """Fit on (n, d) features, (n,) labels in [0, c) and the prompts; ``key`` is not used.

        A class without rows starts, and is pushed away, from its prompt alone.

        Raises:
            UsageError: when there is no text or no validation row.
            DataError: when there are no rows, or the prompts do not fit the features.
        """
        vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter="lp-plus-plus")
        rows, truth = validation_rows(val, adapter="lp-plus-plus", chosen="the block", instead="")
        if not len(labels):
            raise DataError("lp-plus-plus was given no labelled rows: expected one or more")
        F, V = unit(features), unit(rows)
        cosines, val_cosines = F @ vectors.T, V @ vectors.T
        one_hot = np.eye(classes)[labels]
        n = len(F)
        w = F.T @ one_hot
        alpha = np.full(classes, self.start * _mean_own_cosine(cosines, labels))
        step_w = 4 * n / float(np.linalg.norm(F, 2) ** 2)
        step_alpha = n / (4 * max(float(np.square(cosines).sum(0).max()), 1e-12))
        speed = np.zeros_like(w)
        kept: tuple[Standing, int, NDArray[np.float64], NDArray[np.float64]] | None = None
        for block in range(self.blocks + 1):
            stands = standing(V @ w + val_cosines * alpha, truth)
            if kept is None or stands < kept[0]:
                kept = (stands, block, w.copy(), alpha.copy())
            if block == self.blocks:
                break
            for _ in range(STEPS):
                residual = _softmax(F @ w + cosines * alpha) - one_hot
                speed = MOMENTUM * speed + F.T @ residual / n
                w = w - step_w * speed
            # The slope of alpha where the last step of w was taken from, as published.
            alpha = alpha - step_alpha * (residual * cosines).sum(0) / n
        assert kept is not None
        stands, block, w, alpha = kept
        self._weights = w + vectors.T * alpha
        self._facts = {
            "block": block,
            "blocks": self.blocks,
            "val_accuracy": stands.accuracy,
            "val_log_loss": stands.log_loss,
            "step_w": step_w,
            "step_alpha": step_alpha,
            "alpha_mean": float(alpha.mean()),
            "alpha_at_start": self.start * _mean_own_cosine(cosines, labels),
        }
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        return unit(features) @ self._weights

    def report(self) -> Mapping[str, Any]:
        """Tell the block that was kept, its standing on validation, the step sizes and the mean blending."""
        return dict(self._facts)


def _mean_own_cosine(cosines: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean over the present classes of the mean cosine of a class's rows with its prompt."""
    own = cosines[np.arange(len(labels)), labels]
    return float(np.mean([own[labels == c].mean() for c in np.unique(labels)]))


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    p: NDArray[np.float64] = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p
