"""Whether a classifier's probabilities mean what they say: ECE, Brier, NLL, and the scale that fits them best.

Works on (n, c) logits; -inf is a class that cannot be. It refuses to fit a scale to labels that have probability 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax

from lpcm.errors import DataError, UsageError

BINS = 15
"""As Guo et al. 2017 have it."""

LARGEST_SCALE, SMALLEST_SCALE = 1e4, 1e-2
"""Between them a scale is sought: beyond, cosines give certainty and uniform probabilities."""


class Binning(str, Enum):
    """How confidences are put into bins."""

    WIDTH = "width"  # equal intervals of (0, 1]
    MASS = "mass"  # equally many samples


@dataclass(frozen=True)
class Calibration:
    """Four figures of the same probabilities; 0 is best for each.

    Args:
        ece: expected calibration error, bins of equal width, in [0, 1].
        ece_mass: the same, bins of equally many samples.
        brier: squared distance of the probabilities to the truth summed over classes, in [0, 2].
        nll: mean negative log-likelihood in nats; what a uniform guess gives is log(c).
    """

    ece: float
    ece_mass: float
    brier: float
    nll: float


def calibration(
    logits: NDArray[np.floating], labels: NDArray[np.integer], *, bins: int = BINS
) -> Calibration:
    """Measure the probabilities ``softmax(logits)``.

    Args:
        logits: (n, c).
        labels: (n,) in [0, c).
        bins: of the calibration errors.

    Raises:
        DataError: when shapes do not fit, a logit is NaN, or a label's class cannot be (logit -inf).

    Source: Guo et al. 2017, equations 3 and 5 (ECE, equal width); Nixon et al. 2019, section 4 (equal mass);
    Brier 1950.

    Example:
        >>> found = calibration(np.zeros((4, 2)), np.array([0, 0, 0, 1]))
        >>> round(found.ece, 3), found.brier, round(found.nll, 4)
        (0.0, 0.5, 0.6931)
    """
    logits = checked(logits, labels)
    logp = log_softmax(logits, axis=1)
    p = np.exp(logp)
    confidence = p.max(axis=1)
    right = credit(logits, labels, 1)
    truth = p[np.arange(len(labels)), labels]
    return Calibration(
        ece=calibration_error(confidence, right, bins=bins, binning=Binning.WIDTH),
        ece_mass=calibration_error(confidence, right, bins=bins, binning=Binning.MASS),
        brier=float(np.mean(np.square(p).sum(axis=1) - 2 * truth + 1)),
        nll=float(-np.mean(logp[np.arange(len(labels)), labels])),
    )


def calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.float64], *, bins: int = BINS, binning: Binning
) -> float:
    """Mean distance between confidence and accuracy over bins, weighted by their samples, in [0, 1].

    Args:
        confidence: (n,) in [0, 1].
        right: (n,) 1 where the prediction is right, 0 where not.
        bins: 1 or more. With equal mass, equal confidences stay in one bin, so that the order of samples is nothing.
        binning: how.
    """
    if bins < 1:
        raise UsageError(f"bins is {bins}: expected 1 or more")
    if binning is Binning.WIDTH:
        # (0, 1/b], (1/b, 2/b], ...
        place = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(np.int64)
    else:
        _, inverse, counts = np.unique(confidence, return_inverse=True, return_counts=True)
        middle = np.cumsum(counts) - counts / 2
        place = np.minimum(middle / len(confidence) * bins, bins - 1).astype(np.int64)[inverse]
    gap = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def credit(scores: NDArray[np.floating], labels: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Chance that the true class is among the k highest when equal scores are in random order, (n,) in [0, 1].

    Example:
        >>> credit(np.array([[2.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), np.array([1, 0]), 1).tolist()
        [0.5, 1.0]
    """
    own = scores[np.arange(len(labels)), labels][:, None]
    above = (scores > own).sum(axis=1)
    tied = (scores == own).sum(axis=1)  # itself among them
    chance: NDArray[np.float64] = np.clip((k - above) / tied, 0.0, 1.0)
    return chance


def fit_scale(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The factor s > 0 for which ``softmax(s * scores)`` has the lowest NLL: temperature scaling with 1 / s.

    The NLL is convex in s; its slope, the mean over samples of E[score] - score of the label, is brought to zero.

    Args:
        scores: (n, c), for example cosines.
        labels: (n,) in [0, c).

    Returns:
        s in [``SMALLEST_SCALE``, ``LARGEST_SCALE``]; an end of it when the slope has one sign in between, for
        example when every sample is right and more certainty only helps.

    Raises:
        DataError: as ``calibration``.

    Source: Guo et al. 2017, section 4.2.
    """
    scores = checked(scores, labels)
    own = scores[np.arange(len(labels)), labels]
    finite = np.where(np.isfinite(scores), scores, 0.0)  # 0 * -inf is not a number; their probability is 0

    def slope(log_scale: float) -> float:
        p = np.exp(log_softmax(np.exp(log_scale) * scores, axis=1))
        return float(np.mean((p * finite).sum(axis=1) - own))

    low, high = float(np.log(SMALLEST_SCALE)), float(np.log(LARGEST_SCALE))
    if slope(high) <= 0:
        return LARGEST_SCALE
    if slope(low) >= 0:
        return SMALLEST_SCALE
    return float(np.exp(brentq(slope, low, high, xtol=1e-10)))


def checked(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Logits as float64, once shapes and values are what they must be."""
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not logits.size:
        raise DataError(
            f"logits have shape {logits.shape} and labels {labels.shape}: expected (n, c) and (n,), none empty"
        )
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise DataError(
            f"labels reach {int(labels.min())} to {int(labels.max())}: expected 0 to {logits.shape[1] - 1}"
        )
    wrong = np.isnan(logits).any(axis=1) | (logits == np.inf).any(axis=1)
    if wrong.any():
        raise DataError(f"logits hold NaN or +inf in {int(wrong.sum())} of {len(logits)} rows")
    impossible = np.isneginf(logits[np.arange(len(labels)), labels])
    if impossible.any():
        classes = sorted(set(labels[impossible].tolist()))
        raise DataError(
            f"{int(impossible.sum())} of {len(labels)} labels are of classes that were ruled out: {classes[:5]}",
            "the dataset's domain_classes leave out classes that its samples have",
        )
    return np.asarray(logits, np.float64)
