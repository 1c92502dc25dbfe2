"""Accuracy, plain and balanced, with nulls by label permutation. Refuses empty or unequal inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError
from lpcm.keys import Key

PERMUTATIONS = 200


def accuracy(truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> float:
    """Share of the n predictions that equal the truth, in [0, 1]."""
    _check(truth, prediction)
    return float(np.mean(truth == prediction))


def balanced_accuracy(truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> float:
    """Recall of each class that occurs in the truth, averaged with equal weight, in [0, 1]."""
    _check(truth, prediction)
    classes, inverse, counts = np.unique(truth, return_inverse=True, return_counts=True)
    right = np.bincount(inverse, weights=(truth == prediction).astype(np.float64), minlength=len(classes))
    return float(np.mean(right / counts))


class Accuracy:
    """Share of predictions that are right.

    Example:
        >>> Accuracy()(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0]))
        0.75
    """

    card = """\
# accuracy

**Definition.** Share of samples whose predicted label is the true one. **Range** 0 to 1, higher is better.

**Chance.** 1 / c for c equally common classes; always answering with the commonest label scores its share.
The null permutes the truth against the predictions: what the same predictions score when they know nothing.

**Invariant** to the order of samples and to a renaming of classes on both sides.

**Known failures.** With unequal classes it rewards the common ones: compare `balanced-accuracy`. It ignores
confidence and how wrong an error is.

**Source.** Standard.
"""

    def __call__(self, truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> float:
        """Accuracy of (n,) predictions against (n,) true labels. Raises ``DataError`` for bad shapes."""
        return accuracy(truth, prediction)

    def null(self, key: Key, truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> float:
        """Mean score of the predictions against permuted truth."""
        _check(truth, prediction)
        generator = key.fold("null").generator()
        draws = (generator.permutation(truth) for _ in range(PERMUTATIONS))
        return float(np.mean([accuracy(draw, prediction) for draw in draws]))


class BalancedAccuracy:
    """Mean over classes of the share of their samples that is right.

    Example:
        >>> BalancedAccuracy()(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
        0.5
    """

    card = """\
# balanced-accuracy

**Definition.** Recall of each class that occurs in the truth, averaged with equal weight.
**Range** 0 to 1, higher is better.

**Chance.** 1 / c for any prediction that ignores the image, whatever the class sizes; the null permutes the
truth against the predictions.

**Invariant** to the order of samples, to a renaming of classes on both sides, and to how common a class is.

**Known failures.** A class with few samples weighs as much as any other, so its noise does too.

**Source.** Brodersen et al. 2010; equals scikit-learn's `balanced_accuracy_score`.
"""

    def __call__(self, truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> float:
        """Balanced accuracy of (n,) predictions for (n,) true labels. Raises ``DataError`` for bad shapes."""
        return balanced_accuracy(truth, prediction)

    def null(self, key: Key, truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> float:
        """Mean score of the predictions against permuted truth."""
        _check(truth, prediction)
        generator = key.fold("null").generator()
        draws = (generator.permutation(truth) for _ in range(PERMUTATIONS))
        return float(np.mean([balanced_accuracy(draw, prediction) for draw in draws]))


def _check(truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> None:
    if truth.ndim != 1 or truth.shape != prediction.shape or not len(truth):
        raise DataError(
            f"truth has shape {truth.shape} and prediction {prediction.shape}: expected (n,) twice, n >= 1"
        )
