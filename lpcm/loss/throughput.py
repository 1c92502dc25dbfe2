"""How fast and how large a loss is here: against other losses in the same process, and against the machine's own peak.

Refuses wall-clock numbers on their own: contenders take turns, and each figure is a median over the turns.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lpcm import _core
from lpcm.loss.functional import contrastive_loss

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Contender:
    """A loss to time: its name, the dtype of its features, and the bytes it needs per element of the n x m matrix."""

    name: str
    loss: Loss
    dtype: torch.dtype
    precision: Literal["fp32", "bf16"]
    bytes_per_logit: float = 0.0


@dataclass(frozen=True)
class Timing:
    """One row of the table. Times in seconds, forward and backward together; memory beyond inputs and gradients."""

    name: str
    n: int
    d: int
    threads: int
    seconds: float
    forward_seconds: float
    extra_bytes: int | None
    tflops: float
    peak_fraction: float
    ratio: float | None


def peak(precision: str, threads: int, seconds: float = 1.0) -> float:
    """Operations per second of the instruction that `precision` is computed with here, and nothing else."""
    return _core.contrastive_peak(_options(precision, threads), seconds)


def arithmetic(precision: str) -> str:
    """How products of `precision` are computed here, in words."""
    return _core.contrastive_arithmetic(_options(precision, 1))


def _options(precision: str, threads: int) -> dict[str, object]:
    return {
        "objective": "softmax", "directions": "both", "similarity": "dot", "power": 2.0,
        "precision": precision, "threads": threads, "level": "",
    }  # fmt: skip


def contenders(*, baselines: bool = True, compiled: bool = True) -> list[Contender]:
    """Ours in both precisions, and every baseline that this environment has."""
    found = [
        Contender(
            "lpcm fp32", lambda x, y, s: contrastive_loss(x, y, s, precision="fp32"), torch.float32, "fp32"
        ),
        Contender(
            "lpcm bf16", lambda x, y, s: contrastive_loss(x, y, s, precision="bf16"), torch.bfloat16, "bf16"
        ),
    ]
    return found + _baselines(compiled) if baselines else found


def _baselines(compiled: bool) -> list[Contender]:
    from open_clip.loss import ClipLoss

    eager = ClipLoss()
    found = [
        Contender("open_clip fp32", eager, torch.float32, "fp32", 24.0),
        Contender("open_clip bf16", lambda x, y, s: eager(x, y, s.to(x.dtype)), torch.bfloat16, "bf16", 12.0),
    ]
    if compiled:
        # one each: a compiled function keeps what it made for the dtypes that it saw
        fast: Loss = torch.compile(ClipLoss())
        low: Loss = torch.compile(ClipLoss())
        found += [
            Contender("open_clip fp32 compiled", fast, torch.float32, "fp32", 24.0),
            Contender(
                "open_clip bf16 compiled",
                lambda x, y, s: low(x, y, s.to(x.dtype)),
                torch.bfloat16,
                "bf16",
                12.0,
            ),
        ]
    chunked = getattr(F, "linear_cross_entropy", None)  # torch >= 2.13
    if chunked is not None:

        def twice(x: Tensor, y: Tensor, s: Tensor) -> Tensor:
            labels = torch.arange(len(x))
            return (chunked(s * x, y, labels) + chunked(s * y, x, labels)) / 2  # type: ignore[no-any-return]

        found.append(Contender("torch linear_cross_entropy twice", twice, torch.float32, "fp32", 8.0))
    if importlib.util.find_spec("pykeops") is not None:
        found.append(Contender("keops fp32", _by_keops, torch.float32, "fp32"))
    return found


def _by_keops(x: Tensor, y: Tensor, s: Tensor) -> Tensor:
    """The symmetric loss from KeOps' two log-sum-exps of a symbolic matrix; its gradients are KeOps' too."""
    lazy = importlib.import_module("pykeops.torch").LazyTensor  # by name: the package has no types
    logits = lazy((s * x)[:, None, :]) | lazy(y[None, :, :])
    rows, columns = (logits.logsumexp(dim=dim).flatten() for dim in (1, 0))
    loss: Tensor = (rows + columns).mean() / 2 - s * (x * y).sum(-1).mean()
    return loss


def fits(contender: Contender, n: int) -> bool:
    """Whether its matrices leave a third of the free memory free."""
    free = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if "MemAvailable" in line
    )
    return contender.bytes_per_logit * n * n < 2 * free / 3


def compare(found: list[Contender], n: int, d: int, repeats: int) -> list[Timing]:
    """Time `found` in turns on correlated unit features; ratios are to 'open_clip' of the same precision.

    A contender that fails (a compiler that is missing, say) is left out with a warning that says why.
    """
    x, y = features(n, d)
    times: dict[str, list[tuple[float, float]]] = {}
    memory: dict[str, int | None] = {}
    for contender in found:  # once, for warmth and for memory
        try:
            memory[contender.name] = extra_bytes(contender, x, y)
        except Exception as error:  # whatever a baseline raises is its own affair, and is shown
            warnings.warn(f"{contender.name} is left out: {type(error).__name__}: {error}", stacklevel=2)
            continue
        times[contender.name] = []
    for _ in range(repeats):
        for contender in found:
            if contender.name in times:
                times[contender.name].append(seconds(contender, x, y))
    median = {name: statistics.median(total for _, total in turns) for name, turns in times.items()}
    threads = torch.get_num_threads()
    peaks = {precision: peak(precision, threads) for precision in {c.precision for c in found}}
    rows = []
    for contender in found:
        if contender.name not in times:
            continue
        took = median[contender.name]
        rate = 8 * n * n * d / took
        baseline = median.get(f"open_clip {contender.precision}")
        rows.append(
            Timing(
                name=contender.name,
                n=n,
                d=d,
                threads=threads,
                seconds=took,
                forward_seconds=statistics.median(forward for forward, _ in times[contender.name]),
                extra_bytes=memory[contender.name],
                tflops=rate / 1e12,
                peak_fraction=rate / peaks[contender.precision],
                ratio=None if baseline is None else baseline / took,
            )
        )
    return rows


def features(n: int, d: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Two (n, d) towers of unit rows, correlated as trained ones are (cosine 0.7 of a pair); n is their seed."""
    g = torch.Generator().manual_seed(n)
    x, y = torch.empty(n, d, dtype=dtype), torch.empty(n, d, dtype=dtype)
    step = max(1, (1 << 24) // d)  # in slices: in float32 the largest pair would outweigh what is measured
    for first in range(0, n, step):
        part = torch.randn(min(step, n - first), d, generator=g)
        x[first : first + step] = F.normalize(part, dim=-1)
        y[first : first + step] = F.normalize(part + torch.randn(part.shape, generator=g), dim=-1)
    return x, y


def seconds(contender: Contender, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Wall-clock seconds of one forward pass, and of that with its backward pass."""
    a, b = (t.to(contender.dtype).requires_grad_() for t in (x.detach(), y.detach()))
    s = torch.tensor(14.3, requires_grad=True)
    start = time.perf_counter()
    loss = contender.loss(a, b, s)
    middle = time.perf_counter()
    torch.autograd.grad(loss, (a, b, s))
    return middle - start, time.perf_counter() - start


def extra_bytes(contender: Contender, x: Tensor, y: Tensor) -> int | None:
    """Peak of resident memory over one forward and backward, less the two gradients; None where Linux cannot tell."""
    a, b = (t.to(contender.dtype).clone().requires_grad_() for t in (x.detach(), y.detach()))
    s = torch.tensor(14.3, requires_grad=True)
    small = [t.detach()[:8].clone().requires_grad_() for t in (a, b)]
    torch.autograd.grad(
        contender.loss(small[0], small[1], s), (*small, s)
    )  # code and pools are not the loss's memory
    peak_bytes = resident_peak(lambda: torch.autograd.grad(contender.loss(a, b, s), (a, b, s)))
    if peak_bytes is None:
        return None
    before, highest = peak_bytes
    return max(0, highest - before - 2 * a.numel() * a.element_size())


def resident_peak(run: Callable[[], object]) -> tuple[int, int] | None:
    """Resident bytes of the process before `run` and at their peak during it; None where Linux cannot tell."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # starts a new peak
    except (AttributeError, OSError):  # another C library, or another system
        run()
        return None
    before = _status("VmRSS")
    run()
    return before, _status("VmHWM")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")
