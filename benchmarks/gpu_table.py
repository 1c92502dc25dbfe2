"""The table of ``make gpu``: what one measurement is, which targets it must meet, and how it is printed.

Refuses to measure; that is gpu.py. Needs no GPU, so its tests run everywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Measurement:
    """One contender at one size: forward and backward together.

    `seconds` is None when it did not run; `note` then says why. `bytes` is the peak beyond inputs.
    """

    contender: str
    n: int
    d: int
    seconds: float | None
    bytes: int | None = None
    note: str = ""

    @property
    def tflops(self) -> float | None:
        """10^12 operations a second, counting 8 n m d whatever was really done."""
        return None if self.seconds is None else 8 * self.n**2 * self.d / self.seconds / 1e12


@dataclass(frozen=True)
class Target:
    """What a measurement of `contender` at (n, d) is held against.

    `must` and `goal` take all measurements and answer the bound on its seconds, or None where what they need to know
    was not measured.
    """

    contender: str
    n: int
    d: int
    must: Callable[[Sequence[Measurement]], float | None]
    goal: Callable[[Sequence[Measurement]], float | None]


def seconds_of(found: Iterable[Measurement], contender: str, n: int, d: int) -> float | None:
    """The time of a contender at a size, None when it has none."""
    return next((m.seconds for m in found if (m.contender, m.n, m.d) == (contender, n, d)), None)


def at_most(seconds: float) -> Callable[[Sequence[Measurement]], float | None]:
    """A bound that is a number."""
    return lambda found: seconds


def share_of(share: float, contender: str, n: int, d: int) -> Callable[[Sequence[Measurement]], float | None]:
    """A bound that is a share of another contender's time in the same run."""

    def bound(found: Sequence[Measurement]) -> float | None:
        other = seconds_of(found, contender, n, d)
        return None if other is None else share * other

    return bound


# Asked for before anything was built, for one H100.
TARGETS = (
    Target("lpcm bf16", 4096, 512, at_most(0.4e-3), at_most(0.12e-3)),
    Target("lpcm bf16", 65536, 512, at_most(45e-3), at_most(26e-3)),
    Target("lpcm bf16, 8 GiB", 65536, 512, share_of(1.0, "lpcm bf16", 65536, 512), at_most(21e-3)),
    Target("lpcm bf16", 65536, 768, at_most(60e-3), at_most(39e-3)),
    Target("lpcm fp32", 32768, 512, share_of(1.0, "eager fp32", 32768, 512), at_most(20e-3)),
    Target("lpcm bf16", 1 << 20, 512, at_most(float("inf")), at_most(7.0)),
)
MEMORY_TARGET = (1 << 20, 512, 8 << 30)  # n, d, bytes beyond inputs: must


def against_memeff(found: Sequence[Measurement]) -> list[Target]:
    """1.5 and 3 times as fast as memeff wherever both were measured."""
    pairs = {(m.n, m.d) for m in found if m.contender == "memeff" and m.seconds is not None}
    return [
        Target("lpcm bf16", n, d, share_of(1 / 1.5, "memeff", n, d), share_of(1 / 3, "memeff", n, d))
        for n, d in sorted(pairs)
    ]


def verdict(value: float | None, bound: float | None) -> str:
    """PASS, MISS, or '-' where one of them was not measured."""
    if value is None or bound is None:
        return "-"
    return "PASS" if value <= bound else "MISS"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def table(found: Sequence[Measurement], gemm_tflops: float) -> str:
    """All measurements, in the order in which they were made."""
    head = ("n", "d", "contender", "ms", "peak MiB", "TFLOP/s", "of GEMM", "")
    rows = [head]
    for m in found:
        rate = m.tflops
        rows.append(
            (
                str(m.n),
                str(m.d),
                m.contender,
                _number(None if m.seconds is None else m.seconds * 1e3, ".3f"),
                _number(None if m.bytes is None else m.bytes / MIB, ".0f"),
                _number(rate, ".1f"),
                _number(None if rate is None else rate / gemm_tflops, ".1%"),
                m.note,
            )
        )
    return _aligned(rows, left=(2, 7))


def targets_table(found: Sequence[Measurement]) -> str:
    """Each target, what was measured, and whether it was met."""
    rows = [("contender", "n", "d", "ms", "must", "", "goal", "")]
    for t in (*TARGETS, *against_memeff(found)):
        value, must, goal = seconds_of(found, t.contender, t.n, t.d), t.must(found), t.goal(found)
        rows.append(
            (
                t.contender,
                str(t.n),
                str(t.d),
                _number(None if value is None else value * 1e3, ".3f"),
                _bound(must),
                verdict(value, must),
                _bound(goal),
                verdict(value, goal),
            )
        )
    n, d, most = MEMORY_TARGET
    used = next((m.bytes for m in found if (m.contender, m.n, m.d) == ("lpcm bf16", n, d)), None)
    memory = (
        f"memory at n = {n}, d = {d}: {_number(None if used is None else used / MIB, '.0f')} MiB, must be"
    )
    return f"{_aligned(rows, left=(0,))}\n{memory} under {most // MIB} MiB: {verdict(used, most)}"


def _bound(seconds: float | None) -> str:
    if seconds is None:
        return "not measured"
    return "runs" if seconds == float("inf") else f"{seconds * 1e3:.3f}"


def _aligned(rows: Sequence[Sequence[str]], left: tuple[int, ...]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def as_json(found: Sequence[Measurement]) -> list[dict[str, object]]:
    """The measurements as plain data."""
    return [dataclasses.asdict(m) for m in found]
