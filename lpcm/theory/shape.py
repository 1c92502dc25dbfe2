"""What a cloud of features is like: norms, spread over the sphere, dimension, pairs, axes. Each beside its null.

Refuses labels. Sources stand with each measure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.haar import haar
from lpcm.errors import DataError
from lpcm.keys import Key

Array = NDArray[np.float64]

_PAIRS = 20_000  # random pairs for a mean over pairs: its standard error is below a hundredth of its spread
_ROWS = 4000  # rows that nearest neighbours are sought among
_DISCARDED = 0.1  # share of largest ratios that TwoNN leaves out, as its authors do
_ROTATIONS = 32
_NULLS = 8


@dataclass(frozen=True)
class Measure:
    """A number with what it would be where there is nothing.

    Args:
        value: as measured.
        null: under ``of``; ``None`` where no null says anything.
        of: what the null is.
    """

    value: float
    null: float | None = None
    of: str = ""

    def as_json(self) -> dict[str, float | str | None]:
        """The measure for a row."""
        return {"value": self.value, "null": self.null, "of": self.of}


def unit(rows: Array) -> Array:
    """Rows divided by their norms. Raises ``DataError`` when a row is zero or not finite."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise DataError("features hold rows that are zero or not finite: expected rows with a direction")
    return np.asarray(rows / norms)


def shape_of(features: NDArray[np.floating], key: Key) -> dict[str, Measure]:
    """All measures of one side's features, (n, d) with n of 3 or more.

    Raises:
        DataError: for too few rows, rows without a direction, features that do not vary.
    """
    rows = np.asarray(features, dtype=np.float64)
    n, d = rows.shape
    if n < 3:
        raise DataError(f"{n} rows were given: expected 3 or more")
    directions = unit(rows)
    values = eigenvalues(rows)
    normal = key.fold("normal").generator().standard_normal((n, d))
    norms = np.linalg.norm(rows, axis=1)
    same_spread = normal * np.sqrt(values)
    return {
        "norm_spread": Measure(float(norms.std() / norms.mean())),
        "mean_direction": Measure(
            float(np.linalg.norm(directions.mean(0))), 1 / math.sqrt(n), "uniform on the sphere"
        ),
        "uniformity": Measure(
            uniformity(directions, key), uniformity(unit(normal), key), "uniform on the sphere"
        ),
        "sphericity": Measure(
            sphericity(values), sphericity(eigenvalues(normal)), "the same variance everywhere"
        ),
        "participation_ratio": Measure(participation_ratio(values)),
        "effective_rank": Measure(effective_rank(values)),
        "intrinsic_dimension": Measure(
            two_nn(rows, key), two_nn(same_spread, key), "normal of the same covariance"
        ),
    }


def eigenvalues(rows: Array) -> Array:
    """Variances along the principal axes, largest first, (d,)."""
    centred = rows - rows.mean(0)
    values = np.linalg.eigvalsh(centred.T @ centred / len(rows))[::-1].clip(0)
    if not values[0] > 0:
        raise DataError("features do not vary: expected rows that differ")
    return np.asarray(values, dtype=np.float64)


def sphericity(values: Array) -> float:
    """(sum l)^2 / (d sum l^2) of variances l: 1 for equal ones, 1 / d for one alone (John 1971: 1 / (1 + U))."""
    return participation_ratio(values) / len(values)


def participation_ratio(values: Array) -> float:
    """(sum l)^2 / sum l^2: how many directions of equal variance would spread as much."""
    return float(values.sum() ** 2 / np.square(values).sum())


def effective_rank(values: Array) -> float:
    """Exp of the entropy of the shares of variance (Roy and Vetterli 2007)."""
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def uniformity(directions: Array, key: Key) -> float:
    """Log E exp(-2 |x - y|^2) over pairs of unit rows (Wang and Isola 2020, equation 3); lower is more uniform."""
    first, second = _random_pairs(len(directions), key.fold("uniformity"))
    distances = np.square(directions[first] - directions[second]).sum(1)
    return float(np.log(np.exp(-2 * distances).mean()))


def two_nn(rows: Array, key: Key) -> float:
    """Intrinsic dimension from the ratio of the two nearest distances (Facco et al. 2017, equation 5, as a fit).

    -log(1 - F(mu)) = d log mu, fitted through the origin over all but the largest tenth of ratios. Known to fall
    short where d is large beside log n: the null says by how much. Rows that occur twice are left out.
    """
    from sklearn.neighbors import NearestNeighbors

    rows = np.unique(rows, axis=0)
    if len(rows) > _ROWS:
        rows = rows[key.fold("two-nn").generator().permutation(len(rows))[:_ROWS]]
    if len(rows) < 10:
        raise DataError(f"{len(rows)} different rows are too few for neighbours: expected 10 or more")
    distances, _ = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(rows).kneighbors(rows)
    near, far = distances[:, 1], distances[:, 2]
    ratios = np.sort(np.log(far[near > 0] / near[near > 0]))
    kept = int(len(ratios) * (1 - _DISCARDED))
    levels = -np.log1p(-np.arange(1, kept + 1) / (len(ratios) + 1))
    return float((ratios[:kept] @ levels) / (ratios[:kept] @ ratios[:kept]))


def pairs_of(images: NDArray[np.floating], texts: NDArray[np.floating], key: Key) -> dict[str, Measure]:
    """Alignment and modality gap of n pairs of rows, (n, d) and (n, d)."""
    x, t = unit(np.asarray(images, np.float64)), unit(np.asarray(texts, np.float64))
    generator = key.fold("pairs").generator()
    shuffled = [alignment(x, t[generator.permutation(len(t))]) for _ in range(_NULLS)]
    both = np.concatenate([x, t])
    gaps = []
    for _ in range(_NULLS):
        order = generator.permutation(len(both))
        gaps.append(modality_gap(both[order[: len(x)]], both[order[len(x) :]]))
    return {
        "alignment": Measure(alignment(x, t), float(np.mean(shuffled)), "texts of other images"),
        "modality_gap": Measure(modality_gap(x, t), float(np.mean(gaps)), "sides exchanged at random"),
    }


def alignment(x: Array, t: Array) -> float:
    """E |x - t|^2 over pairs of unit rows (Wang and Isola 2020, equation 2); lower is nearer."""
    return float(np.square(x - t).sum(1).mean())


def modality_gap(x: Array, t: Array) -> float:
    """Distance of the two sides' means, of unit rows (Liang et al. 2022, section 3)."""
    return float(np.linalg.norm(x.mean(0) - t.mean(0)))


def kurtosis(codes: Array) -> Array:
    """|excess kurtosis| of each column, (k,)."""
    centred = codes - codes.mean(0)
    variance = np.square(centred).mean(0)
    if not (variance > 0).all():
        raise DataError("a component does not vary on these rows")
    return np.asarray(np.abs((centred**4).mean(0) / variance**2 - 3))


def rotated_kurtosis(codes: Array, key: Key) -> Array:
    """|excess kurtosis| of the same codes, whitened and turned at random, (rotations, k)."""
    values, vectors = np.linalg.eigh(np.cov(codes, rowvar=False).reshape(codes.shape[1], -1))
    white = (codes - codes.mean(0)) @ (vectors / np.sqrt(values.clip(values[-1] * 1e-12)))
    generator = key.fold("rotations").generator()
    return np.array([kurtosis(white @ haar(codes.shape[1], generator)) for _ in range(_ROTATIONS)])


def _random_pairs(n: int, key: Key) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of different rows."""
    generator = key.generator()
    first = generator.integers(0, n, _PAIRS)
    return first, (first + generator.integers(1, n, _PAIRS)) % n
