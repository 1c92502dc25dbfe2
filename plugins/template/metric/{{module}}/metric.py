"""Cohen's kappa, with what chance gives for it. Reads labels only."""

from __future__ import annotations

from typing import Any

import numpy as np
from lpcm.errors import DataError
from lpcm.keys import Key
from numpy.typing import NDArray

SHUFFLES = 32
"""Permutations that the null is the mean of."""


class Kappa:
    """(observed - expected) / (1 - expected) agreement of two label vectors."""

    card = """\
**Definition.** Share of samples on which truth and prediction agree, less the share expected from their label
counts alone, divided by what is left to 1 (Cohen 1960, equation 1).
**Range.** -1 to 1; 0 is chance, 1 perfect.
**Fails** when one label is nearly all there is: expected agreement is near 1, and the ratio becomes noise.
"""

    def __call__(self, truth: NDArray[Any], prediction: NDArray[Any]) -> float:
        """The score of (n,) labels.

        Raises:
            DataError: when the arrays are not two label vectors of the same length.
        """
        truth, prediction = np.asarray(truth), np.asarray(prediction)
        if truth.ndim != 1 or truth.shape != prediction.shape or not len(truth):
            raise DataError(
                f"shapes are {truth.shape} and {prediction.shape}: expected two label vectors (n,)"
            )
        if truth.dtype.kind not in "iu" or prediction.dtype.kind not in "iu":
            raise DataError(
                f"types are {truth.dtype} and {prediction.dtype}: expected whole numbers"
            )
        labels = np.union1d(truth, prediction)
        shares = [
            (array[:, None] == labels).mean(axis=0) for array in (truth, prediction)
        ]
        expected = float(shares[0] @ shares[1])
        observed = float((truth == prediction).mean())
        # Both vectors hold one and the same label: they agree, and nothing was at stake.
        return 1.0 if expected == 1 else (observed - expected) / (1 - expected)

    def null(self, key: Key, truth: NDArray[Any], prediction: NDArray[Any]) -> float:
        """The mean score of shuffled predictions: what their counts alone give on this very problem."""
        generator = key.fold("kappa null").generator()
        return float(
            np.mean(
                [
                    self(truth, generator.permutation(prediction))
                    for _ in range(SHUFFLES)
                ]
            )
        )
