"""The asymptotics task: the loss of ever more pairs against the limit that theorem 3.1 says it tends to.

Refuses to train: the codes are the latents, so that nothing but the loss is judged. It is also a test of the fused loss
at sizes that no matrix of logits would fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import UsageError, nearest
from lpcm.keys import Key
from lpcm.plugin.contracts import Geometry, Laboratory
from lpcm.plugin.truth import Finding, Score
from lpcm.theory.limit import Limit, Pairing, finite, limit
from lpcm.theory.plot import Mark, gap_plot
from lpcm.theory.training import Temperature

_PRESETS = {"quick": 10, "full": 17}  # the power of 2 of the most pairs
_LEAST = 5  # power of 2 of the fewest
_PAIRS = {
    "quick": 1 << 13,
    "full": 1 << 17,
}  # of each size, in as many batches as that makes, so that gaps compare
_MOST_BATCHES = 256
_INNER = {"quick": 1 << 12, "full": 1 << 16}  # of a Monte Carlo limit
_BLOCKS, _DRAWS = 64, 400
_Z = 1.96  # of a 95 % normal interval
_OUT_OF_REACH = 24


class Asymptotics:
    """L - 2 log N against its limit, over geometry x laws x seed.

    The score is the gap at the most pairs, as a share of the limit's size: 0 is right. Nats are in the details.

    Args:
        preset: ``full`` goes to 2^17 pairs, ``quick`` to 2^10.
        dim: d, width of the latents.
        temperature: a factor on the scale that the theory asks for.
        largest: the power of 2 of the most pairs, instead of the preset's.

    Source: arXiv 2402.06223, theorem 3.1; of one modality: Wang and Isola 2020, arXiv 2005.10242, theorem 1.
    """

    def __init__(
        self, *, preset: str = "full", dim: int = 10, temperature: float = 1.0, largest: int | None = None
    ) -> None:
        if preset not in _PRESETS:
            raise UsageError(
                f"preset {preset!r} is unknown: expected {' or '.join(_PRESETS)}", nearest(preset, _PRESETS)
            )
        top = _PRESETS[preset] if largest is None else largest
        if not _LEAST < top <= _OUT_OF_REACH:
            raise UsageError(
                f"asymptotics.largest is {top}: expected a power of 2 from {_LEAST + 1} to {_OUT_OF_REACH}"
            )
        if dim < 1:
            raise UsageError(f"asymptotics.dim is {dim}: expected 1 or more latents")
        self._dim, self._temperature = dim, temperature
        self._sizes = [1 << power for power in range(_LEAST, top + 1)]
        self._pairs, self._inner = _PAIRS[preset], _INNER[preset]

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """One cell a geometry, law and seed."""
        named: dict[str, Sequence[Any]] = {"geometry": axes.get("geometry") or ("sphere",)}
        named |= {name: axes[name] for name in ("marginal", "conditional") if axes.get(name)}
        named["seed"] = axes["seed"]
        for point in product(*named.values()):
            yield dict(zip(named, point, strict=True))

    def simulate(self, laboratory: Laboratory, axes: Mapping[str, Any]) -> Finding:
        """Measure the gap at every size."""
        laws = {name: axes[name] for name in ("marginal", "conditional") if name in axes}
        space = laboratory.geometry(self._dim, **laws)
        scale = Temperature.parse(self._temperature, space).scale
        if scale == 0:
            raise UsageError(
                "the limit is 0 where partners share nothing", "give a conditional with concentration"
            )
        goal = limit(space, scale, laboratory.key.fold("limit"), self._inner)
        marks, last = [], np.empty(0)
        for place, n in enumerate(self._sizes):
            last = self._gaps(space, scale, laboratory.key.fold("pairs", n), n, goal)
            marks.append(_mark(n, last, goal))
            laboratory.progress(
                place + 1, len(self._sizes), f"N = {n}: gap {marks[-1].value:.5f} nats of {goal.value:.5f}"
            )
        strangers = finite(space, scale, laboratory.key.fold("strangers"), self._sizes[0], Pairing.STRANGERS)
        resolved = [m for m in marks if m.low > 0 or m.high < 0]
        score = Score(
            metric="gap",
            value=marks[-1].value / abs(goal.value),
            draws=_draws(last, goal, laboratory.key.fold("draws")) / abs(goal.value),
            null={"unpaired": (float(strangers.mean()) - goal.value) / abs(goal.value)},
            details={
                "gaps": [{"n": m.n, "gap": m.value, "low": m.low, "high": m.high} for m in marks],
                "slope": _slope(resolved),
                "resolved": [m.n for m in resolved],
            },
        )
        title = f"{axes['geometry']}, {getattr(space, 'conditional', '')}, d = {self._dim}, scale {scale:.4g}"
        return Finding(
            score=score,
            n=self._sizes[-1],
            facts={
                "limit": {"nats": goal.value, "error": goal.error, "exact": goal.exact},
                "scale": scale,
                "dim": self._dim,
                "conditional": str(getattr(space, "conditional", "")),
            },
            selection="nothing is chosen",
            warnings=_warnings(marks[-1]),
            exhibits={"gap.svg": gap_plot(title, marks)},
        )

    def _gaps(self, space: Geometry, scale: float, key: Key, n: int, goal: Limit) -> NDArray[np.float64]:
        """Each pair's gap, of as many batches of n as there are pairs for."""
        batches = max(1, min(_MOST_BATCHES, self._pairs // n))
        return np.concatenate([finite(space, scale, key.fold(i), n) for i in range(batches)]) - goal.value


def _mark(n: int, gaps: NDArray[np.float64], goal: Limit) -> Mark:
    """Mean and interval; the limit's own error adds. That pairs of a batch share negatives widens it by little."""
    value = float(gaps.mean())
    half = _Z * math.hypot(float(gaps.std(ddof=1)) / math.sqrt(len(gaps)), goal.error)
    return Mark(n, value, value - half, value + half)


def _draws(gaps: NDArray[np.float64], goal: Limit, key: Key) -> NDArray[np.float64]:
    """Bootstrap of the mean over blocks of pairs, and of the limit's own error."""
    means = np.array([block.mean() for block in np.array_split(gaps, min(_BLOCKS, len(gaps)))])
    generator = key.generator()
    chosen = generator.integers(0, len(means), (_DRAWS, len(means)))
    moved = goal.error * generator.standard_normal(_DRAWS)
    return np.asarray(means[chosen].mean(1) + moved, dtype=np.float64)


def _slope(marks: Sequence[Mark]) -> float | None:
    """Power of N by which the gap falls, over the sizes where it is not hidden by noise; ``None`` for fewer than 3."""
    if len(marks) < 3:
        return None
    return float(np.polyfit([math.log(m.n) for m in marks], [math.log(abs(m.value)) for m in marks], 1)[0])


def _warnings(last: Mark) -> tuple[str, ...]:
    if last.low <= 0 <= last.high:
        return ()
    return (f"at N = {last.n} the gap of {last.value:.2g} nats is still beyond its interval",)
