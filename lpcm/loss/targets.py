"""What is asked of the loss on a CPU, measured again: ``lpcm-bench --report``.

Each row is a quantity, the least that must hold, and the goal. A verdict goes by the worst of the turns, each of which
measures its baseline beside it in this process. Refuses to stand in for a processor that is not there: a row about the
amx level is skipped elsewhere, and says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch

from lpcm import _core
from lpcm.environment import variables
from lpcm.loss import throughput
from lpcm.loss.functional import contrastive_loss
from lpcm.loss.problem import Implementation

D = 512


class Sense(Enum):
    """Which side of its bound a quantity must be on."""

    AT_LEAST = ">="
    AT_MOST = "<="


class Verdict(Enum):
    """What the turns of a row say."""

    GOAL = "GOAL"
    PASS = "PASS"
    MISS = "MISS"
    SKIP = "SKIP"


@dataclass(frozen=True)
class Target:
    """One row: `measure(n)` gives the quantity once, at the CPU level that it is about."""

    name: str
    claim: str
    n: int
    sense: Sense
    must: float
    goal: float | None
    unit: str
    measure: Callable[[int], float]
    level: str | None = None  # None: whichever is best here
    once: bool = False  # one turn is all: it takes minutes, or has the same bits every time


@dataclass(frozen=True)
class Outcome:
    """A row's values in the order of the turns (none where it was skipped), and what they say."""

    target: Target
    n: int
    values: tuple[float, ...]
    verdict: Verdict
    reason: str = ""

    @property
    def worst(self) -> float:
        """The value that the verdict goes by."""
        return min(self.values) if self.target.sense is Sense.AT_LEAST else max(self.values)


def verdict(target: Target, values: tuple[float, ...]) -> Verdict:
    """GOAL or PASS when every value keeps the bound, else MISS; a NaN keeps none."""

    def kept(bound: float) -> bool:
        if target.sense is Sense.AT_LEAST:
            return all(value >= bound for value in values)
        return all(value <= bound for value in values)

    if target.goal is not None and kept(target.goal):
        return Verdict.GOAL
    return Verdict.PASS if kept(target.must) else Verdict.MISS


def run(target: Target, *, turns: int = 5, shrink: int = 1) -> Outcome:
    """Measure one row `turns` times at n / `shrink`; anything but 1 is a trial of the command, not a measurement."""
    n = max(64, target.n // shrink)
    available = _core.cpu()["available"]
    if target.level is not None and target.level not in available:
        return Outcome(
            target, n, (), Verdict.SKIP, f"level {target.level}; this processor has {', '.join(available)}"
        )
    # The core reads it at every call, the backward pass's too.
    with variables({} if target.level is None else {"LPCM_CPU_LEVEL": target.level}):
        values = tuple(target.measure(n) for _ in range(1 if target.once else turns))
    return Outcome(target, n, values, verdict(target, values))


def _contender(name: str) -> throughput.Contender:
    return next(c for c in throughput.contenders(compiled=False) if c.name == name)


def _took(name: str, n: int) -> float:
    return throughput.seconds(_contender(name), *throughput.features(n, D))[1]


def _warm(name: str) -> None:
    throughput.seconds(_contender(name), *throughput.features(256, D))


def _peak_fraction(n: int) -> float:
    _warm("lpcm bf16")
    rate = 8 * n * n * D / _took("lpcm bf16", n)
    return rate / throughput.peak("bf16", torch.get_num_threads())


def _times_as_fast(precision: str) -> Callable[[int], float]:
    def measure(n: int) -> float:
        for name in ("lpcm", "open_clip"):
            _warm(f"{name} {precision}")
        ours = _took(f"lpcm {precision}", n)
        return _took(f"open_clip {precision}", n) / ours

    return measure


def _gradient_error(n: int) -> float:
    """Relative Frobenius error of dX in fp32, against float64 in plain torch."""
    x, y = throughput.features(n, D)

    def gradient(dtype: torch.dtype, impl: Implementation) -> torch.Tensor:
        a, b = (t.to(dtype).requires_grad_() for t in (x.clone(), y.clone()))
        loss = contrastive_loss(a, b, 14.3, impl=impl)
        return torch.autograd.grad(loss, a)[0].double()

    truth = gradient(torch.float64, "reference")
    error = (gradient(torch.float32, "fused") - truth).norm() / truth.norm()
    return float(error)


def _extra_megabytes(n: int) -> float:
    x, y = throughput.features(n, D)
    extra = [throughput.extra_bytes(_contender(f"lpcm {p}"), x, y) for p in ("fp32", "bf16")]
    return max(float("nan") if bytes_ is None else bytes_ / 1e6 for bytes_ in extra)


def _resident_gigabytes(n: int) -> float:
    """Peak of the whole process: torch, features, gradients and all."""
    x, y = throughput.features(n, D, torch.bfloat16)
    peak = throughput.resident_peak(lambda: throughput.seconds(_contender("lpcm bf16"), x, y))
    return float("nan") if peak is None else peak[1] / 1e9


def _growth(precision: str) -> Callable[[int], float]:
    def measure(n: int) -> float:
        name, small = f"lpcm {precision}", max(64, n // 16)
        _warm(name)
        # as many operations on both sides, or a disturbance would weigh 256 times as much in the small one
        few = [_took(name, small) for _ in range(9)]
        return (_took(name, n) / n**2) / (statistics.median(few) / small**2)

    return measure


def targets() -> tuple[Target, ...]:
    """The rows, in the order of what they take: those of minutes come last."""
    least, most = Sense.AT_LEAST, Sense.AT_MOST
    return (
        Target(
            "avx512", "avx512 level, strict fp32: times as fast as open_clip fp32 eager",
            8192, least, 1.5, 2.3, "x", _times_as_fast("fp32"), level="avx512",
        ),
        Target(
            "bf16-peak", "bf16: share of the AMX peak measured in the same process, 8 n m d",
            16384, least, 0.35, 0.65, "", _peak_fraction, level="amx",
        ),
        Target(
            "bf16", "bf16: times as fast as open_clip bf16 eager",
            16384, least, 6, 11, "x", _times_as_fast("bf16"), level="amx",
        ),
        Target(
            "fp32", "fp32: times as fast as open_clip fp32 eager",
            16384, least, 5, 11, "x", _times_as_fast("fp32"), level="amx",
        ),
        Target(
            "fp32-error", "fp32: relative error of dX against float64",
            16384, most, 2e-5, None, "", _gradient_error, once=True,
        ),
        Target(
            "memory", "memory beyond inputs and gradients, the larger of fp32 and bf16",
            32768, most, 400, 150, " MB", _extra_megabytes,
        ),
        Target(
            "growth-bf16", "bf16: time / n^2 over that of n / 16",
            65536, most, 1.1, None, "", _growth("bf16"),
        ),
        Target(
            "growth-fp32", "fp32: time / n^2 over that of n / 16",
            65536, most, 1.1, None, "", _growth("fp32"),
        ),
        Target(
            "resident", "bf16, forward and backward: peak of resident memory of the process",
            262144, most, 4, None, " GB", _resident_gigabytes, once=True,
        ),
    )  # fmt: skip


def table(outcomes: list[Outcome]) -> str:
    """The rows as a Markdown table, ready for the ledger."""
    lines = [
        "| claim | n | must | goal | worst | median | turns | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for o in outcomes:
        t = o.target
        goal = "-" if t.goal is None else f"{t.sense.value} {t.goal:g}{t.unit}"
        worst, median = (
            (f"{o.worst:.3g}{t.unit}", f"{statistics.median(o.values):.3g}{t.unit}")
            if o.values
            else ("-", "-")
        )
        said = o.verdict.value + (f": needs {o.reason}" if o.reason else "")
        lines.append(
            f"| {t.claim} | {o.n} | {t.sense.value} {t.must:g}{t.unit} | {goal} | {worst} | {median} | {len(o.values)} "
            f"| {said} |"
        )
    return "\n".join(lines)
