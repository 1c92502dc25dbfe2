"""Theorem 3.1 as numbers: the loss of known pairs, and the limit that it tends to as their number grows.

Refuses encoders: codes are the latents themselves, so that nothing but the loss is measured.

Source: arXiv 2402.06223, theorem 3.1: L - 2 log N tends to

    2 E_{p(x,t)}[d / tau] + E_{p(x)} log E_{p(t)} exp(-d / tau) + E_{p(t)} log E_{p(x)} exp(-d / tau)

where L is the sum of both directions, so twice the loss that ``lpcm.contrastive_loss`` gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ive

from lpcm.geometries.box import Box
from lpcm.geometries.laws import LawName
from lpcm.geometries.sphere import Sphere
from lpcm.geometries.unbounded import Unbounded
from lpcm.keys import Key
from lpcm.plugin.contracts import Geometry
from lpcm.theory.objective import Reduction, power_of, space_loss

Array = NDArray[np.float64]


class Pairing(str, Enum):
    """Whose partner stands beside a latent."""

    OWN = "own"
    STRANGERS = "strangers"  # the next one's: what the loss is where nothing is shared


@dataclass(frozen=True)
class Limit:
    """The value that L - 2 log N tends to.

    Args:
        value: in nats.
        error: its standard error; 0 where it is known in closed form.
        exact: whether it is.
    """

    value: float
    error: float
    exact: bool


def finite(space: Geometry, scale: float, key: Key, n: int, pairing: Pairing = Pairing.OWN) -> Array:
    """Each pair's part of L - 2 log N for n fresh pairs, (n,), in nats, by the fused loss.

    Args:
        space: where latents live.
        scale: 1 / tau.
        key: of the draws.
        n: pairs, 1 or more.
        pairing: whose partner stands beside a latent.
    """
    z_x = space.sample_marginal(key.fold("z"), n)
    z_t = space.sample_conditional(key.fold("pair"), z_x)
    if pairing is Pairing.STRANGERS:
        z_t = np.roll(z_t, 1, axis=0)
    x, t = torch.from_numpy(z_x).float(), torch.from_numpy(z_t).float()
    with torch.no_grad():
        each = space_loss(space, x, t, torch.tensor(scale), Reduction.NONE)
    return 2 * each.double().numpy() - 2 * math.log(n)


def limit(space: Geometry, scale: float, key: Key, n: int) -> Limit:
    """The limit: in closed form on the sphere, else by Monte Carlo.

    Args:
        space: where latents live.
        scale: 1 / tau.
        key: of the Monte Carlo draws; not to be that of ``finite``.
        n: draws of each expectation.
    """
    return _on_sphere(space, scale) or _monte_carlo(space, scale, key, n)


def _on_sphere(space: Geometry, scale: float) -> Limit | None:
    """Uniform marginal, vMF conditional, dot product: both marginals are uniform, so the inner mean is one number.

    E[z . z'] = A_d(kappa) = I_{d/2}(kappa) / I_{d/2-1}(kappa), and the mean of exp(s u . z) over the sphere is
    Gamma(d/2) (2 / s)^{d/2-1} I_{d/2-1}(s). Source: Mardia and Jupp 2000, equations 9.3.4 and 9.3.8.
    """
    if not (
        isinstance(space, Sphere)
        and space.similarity == "dot"
        and space.marginal.name is LawName.UNIFORM
        and space.conditional.name is LawName.VMF
    ):
        return None
    return Limit(
        2 * (log_mean_exp(space.dim, scale) - scale * mean_cosine(space.dim, space.conditional.kappa)),
        0.0,
        True,
    )


def mean_cosine(d: int, kappa: float) -> float:
    """E[z . z'] of a von Mises-Fisher pair in R^d; 0 without concentration."""
    return float(ive(d / 2, kappa) / ive(d / 2 - 1, kappa)) if kappa > 0 else 0.0


def log_mean_exp(d: int, s: float) -> float:
    """Log of the mean of exp(s u . z) over z uniform on the unit sphere of R^d."""
    if s == 0:
        return 0.0
    order = d / 2 - 1
    return math.lgamma(d / 2) + order * math.log(2 / s) + math.log(float(ive(order, s))) + s


def _monte_carlo(space: Geometry, scale: float, key: Key, n: int) -> Limit:
    """Each expectation over draws of its own; inner means over one sample of the other side.

    Where coordinates are independent an inner mean is the product of theirs, and means of one coordinate converge:
    those of all together would need about as many draws as the limit needs pairs.
    """
    z_x = space.sample_marginal(key.fold("z"), n)
    aligned = -2 * scale * _similarity(space, z_x, space.sample_conditional(key.fold("pair"), z_x))
    others = space.sample_marginal(key.fold("others"), n)
    their_partners = space.sample_conditional(key.fold("partners"), others)
    rows = space.sample_marginal(key.fold("rows"), min(n, _OUTER))
    partners = space.sample_conditional(key.fold("row partners"), rows)
    log_means = _of_coordinates if _has_independent_coordinates(space) else _log_means
    preserved = log_means(space, scale, rows, their_partners) + log_means(space, scale, partners, others)
    error = math.hypot(*(part.std(ddof=1) / math.sqrt(len(part)) for part in (aligned, preserved)))
    return Limit(float(aligned.mean() + preserved.mean()), float(error), False)


def _has_independent_coordinates(space: Geometry) -> bool:
    return isinstance(space, Box | Unbounded) and space.similarity != "dot"


_OUTER = 4096  # rows whose inner mean is taken
_BLOCK = 64  # rows at a time
_COORDINATE_DRAWS = 1 << 13  # of the inner mean of one coordinate


def _of_coordinates(space: Geometry, scale: float, rows: Array, others: Array) -> Array:
    """As ``_log_means`` where coordinates are independent."""
    found = np.zeros(len(rows))
    for column in range(rows.shape[1]):
        found += _log_means(space, scale, rows[:, [column]], others[:_COORDINATE_DRAWS, [column]])
    return found


def _similarity(space: Geometry, a: Array, b: Array) -> Array:
    """Of rows with rows, or of (r, 1, d) with (n, d)."""
    if space.similarity == "dot":
        return np.asarray((a * b).sum(-1))
    distance = np.abs(a - b)
    return np.asarray(-(distance if space.similarity == "l1" else distance ** power_of(space)).sum(-1))


def _log_means(space: Geometry, scale: float, rows: Array, others: Array) -> Array:
    """Log of the mean over the others of exp(scale * similarity), for each row."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        if space.similarity == "dot":
            logits = scale * part @ others.T
        else:
            logits = np.zeros((len(part), len(others)))
            for column in range(others.shape[1]):
                step = np.abs(part[:, [column]] - others[:, column])
                logits -= step if space.similarity == "l1" else step ** power_of(space)
            logits *= scale
        peak = logits.max(1)
        found[start : start + _BLOCK] = peak + np.log(np.exp(logits - peak[:, None]).mean(1))
    return found
