"""Which pipeline fits a cloud of features, in a sentence, from numbers that the row carries. Refuses to run one.

The rules are those of the theorems' assumptions: equal norms are the sphere's case, spread norms the convex body's
(arXiv 2402.06223, section 5); axes can be found only where components are further from normal than random rotations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

UNIT_NORMS = 0.05
"""Spread of norms, relative to their mean, up to which features count as lying on a sphere."""

EVEN = 0.5
"""Sphericity, relative to its null, from which variances count as equal: whitening would change little."""


SIGMAS = 4
"""How far above random rotations axes must be: of normal features, one in 30,000 would be by chance."""


class Pipeline(str, Enum):
    """What to do with features before a classifier."""

    NONE = "none"
    WHITEN = "whiten"
    ICA = "ica"
    PCA_ICA = "pca-ica"


@dataclass(frozen=True)
class Evidence:
    """What the advice is drawn from.

    Args:
        norm_spread: standard deviation of norms over their mean.
        sphericity: relative to that of normal features of the same n and d.
        kurtosis: mean |excess kurtosis| of the ICA components on rows that were not fitted on.
        rotations: what random rotations of them reach: mean and ``SIGMAS`` standard deviations.
    """

    norm_spread: float
    sphericity: float
    kurtosis: float
    rotations: float


@dataclass(frozen=True)
class Advice:
    """A pipeline with its reason."""

    pipeline: Pipeline
    sentence: str


def advise(evidence: Evidence) -> Advice:
    """Choose a pipeline.

    Example:
        >>> advise(Evidence(norm_spread=0.0, sphericity=0.1, kurtosis=0.3, rotations=0.4)).pipeline.value
        'whiten'
    """
    said = (
        f"kurtosis {evidence.kurtosis:.2f} on held-out rows, random rotations up to {evidence.rotations:.2f}"
    )
    if evidence.kurtosis <= evidence.rotations:
        if evidence.sphericity >= EVEN:
            return Advice(
                Pipeline.NONE,
                f"none: no axes stand out ({said}) and variances are nearly equal ({evidence.sphericity:.2f})",
            )
        return Advice(
            Pipeline.WHITEN,
            f"whiten: no axes stand out ({said}), but variances are uneven ({evidence.sphericity:.2f} of 1); "
            "ICA would only be whitening with a rotation",
        )
    if evidence.norm_spread <= UNIT_NORMS:
        return Advice(
            Pipeline.ICA,
            f"ica: axes stand out ({said}) and norms are equal ({evidence.norm_spread:.3f}): the case of the sphere",
        )
    return Advice(
        Pipeline.PCA_ICA,
        f"pca-ica: axes stand out ({said}) and norms vary ({evidence.norm_spread:.2f}): the case of the convex body; "
        "with k given, ica(k) is the same map",
    )
