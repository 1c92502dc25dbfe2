"""Measures the contrastive loss on a GPU: ``make gpu``, or ``python benchmarks/gpu.py`` where lpcm is installed.

    python benchmarks/gpu.py --check    is there a device? says so, exit code 3 when there is none
    python benchmarks/gpu.py --small    one small problem of each kind, for compute-sanitizer
    python benchmarks/gpu.py            the table; --json FILE keeps it as data, --seconds bounds its time

Contenders take turns at each size; a time is the median of device times between two events. Refuses to compare numbers
of different runs: the rate of a plain matrix product is measured here too, and every rate is given as a share of it.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from gpu_table import Measurement, as_json, table, targets_table

NO_DEVICE = 3
SIZES = tuple((n, d) for n in (4096, 16384, 65536, 262144) for d in (512, 768, 128, 1024))
# sizes that targets are about come first, in case time runs out
FIRST = ((4096, 512), (32768, 512), (65536, 512), (65536, 768))
LARGEST = (1 << 20, 512)


@dataclass(frozen=True)
class Contender:
    """A loss to time, and the bytes that it needs for each element of the n x n matrix."""

    name: str
    dtype: str
    loss: Callable  # (x, y, scale) -> 0-d tensor
    bytes_per_logit: float = 0.0
    sizes: tuple[tuple[int, int], ...] | None = None  # None: all


def device_or_reason() -> tuple[bool, str]:
    """Whether torch sees a GPU, and what it is or why it does not."""
    try:
        import torch
    except ImportError as error:
        return False, f"no CUDA device: torch cannot be imported ({error})"
    if not torch.cuda.is_available():
        build = (
            "a build without CUDA" if torch.version.cuda is None else f"built for CUDA {torch.version.cuda}"
        )
        return False, f"no CUDA device: torch {torch.__version__}, {build}, sees none"
    p = torch.cuda.get_device_properties(0)
    return True, (
        f"{p.name}, compute capability {p.major}.{p.minor}, {p.multi_processor_count} multiprocessors, "
        f"{p.total_memory / 2**30:.0f} GiB, torch {torch.__version__}"
    )


def eager(x, y, scale):
    """open_clip's expression, for machines without open_clip."""
    import torch
    from torch.nn.functional import cross_entropy

    labels = torch.arange(len(x), device=x.device)
    return (cross_entropy(scale * x @ y.T, labels) + cross_entropy(scale * y @ x.T, labels)) / 2


def contenders() -> tuple[list[Contender], list[str]]:
    """Everybody who can be imported, and a sentence about everybody else."""
    import torch

    import lpcm
    from lpcm.loss import cuda, objective, operator
    from lpcm.loss.problem import check

    def ours(level="", workspace=None, precision="auto"):
        def loss(x, y, scale):
            inputs, problem = check(x, y, scale, None, None, _problem(precision))
            found = operator.statistics(inputs, problem, level)
            return objective.softmax_loss(found, inputs, problem, 0.0, None, "mean")[0].float()

        if workspace is None:
            return loss

        def backward_within(x, y, scale):
            with cuda.workspace(workspace):
                return step_class().apply(loss, x, y, scale)

        return backward_within

    notes: list[str] = []
    found = [
        Contender("lpcm bf16", "bfloat16", lambda x, y, s: lpcm.contrastive_loss(x, y, s)),
        Contender("lpcm bf16, 8 GiB", "bfloat16", ours(workspace=8 << 30), sizes=((65536, 512),)),
        Contender("lpcm fp32", "float32", ours(precision="fp32"), sizes=((4096, 512), (32768, 512))),
        Contender("plain bf16", "bfloat16", ours(level="plain")),
    ]
    if torch.cuda.is_available() and torch.cuda.get_device_capability() == (9, 0):
        found.insert(1, Contender("lpcm bf16 wgmma", "bfloat16", ours(level="hopper")))
    base, name = eager, "eager"
    try:
        from open_clip.loss import ClipLoss

        clip = ClipLoss()
        base, name = (lambda x, y, s: clip(x, y, s)), "open_clip"
    except ImportError:
        notes.append("open_clip cannot be imported: 'eager' is the same expression")
    found.append(Contender(f"{name} bf16", "bfloat16", lambda x, y, s: base(x, y, s.to(x.dtype)), 20.0))
    found.append(Contender("eager fp32", "float32", eager, 40.0, sizes=((4096, 512), (32768, 512))))
    compiled = torch.compile(eager, dynamic=False)
    found.append(
        Contender(
            f"{name} bf16 compiled", "bfloat16", lambda x, y, s: compiled(x, y, s.to(x.dtype)), 20.0, FIRST
        )
    )
    for module, label, make in PEERS:
        try:
            loss = make(importlib.import_module(module))
        except ImportError as error:
            notes.append(f"{label} cannot be imported ({error})")
            continue
        found.append(Contender(label, "bfloat16", loss))
    return found, notes


def _problem(precision):
    from lpcm.loss.problem import Problem

    return Problem("softmax", "both", "dot", 2.0, precision)


def _memeff(module):
    loss = module.MemoryEfficientCLIPLoss(temperature=1 / 14.3, normalized_inputs=True, stable=False)
    return lambda x, y, s: loss(x, y)


def _siglip(module):
    def loss(x, y, s):  # the sigmoid loss: fewer operations, another loss; its scale is fixed at zero steps
        return module.fused_siglip_loss(x, y, s.log(), s.new_tensor(-10.0))

    return loss


def _inf_cl(module):
    return lambda x, y, s: (module.cal_inf_loss(x, y, scale=s) + module.cal_inf_loss(y, x, scale=s)) / 2


PEERS = (
    ("memeff", "memeff", _memeff),
    ("siglip_kernel", "siglip-kernel (sigmoid)", _siglip),
    ("inf_cl", "inf-cl", _inf_cl),
)


@functools.cache
def step_class():
    """The autograd function `Step`; made late, for the sake of machines without torch."""
    import torch

    class Step(torch.autograd.Function):
        """A loss whose gradient is taken within the forward pass, so that a setting around it holds for both."""

        @staticmethod
        def forward(ctx, loss, *tensors):
            with torch.enable_grad():
                leaves = [t.detach().requires_grad_() for t in tensors]
                value = loss(*leaves)
                ctx.gradients = torch.autograd.grad(value, leaves)
            return value.detach()

        @staticmethod
        def backward(ctx, gradient):
            return (None, *(g * gradient for g in ctx.gradients))

    return Step


def inputs(n, d, dtype):
    """Correlated unit rows: a pair has cosine 0.7."""
    import torch
    from torch.nn.functional import normalize

    g = torch.Generator(device="cuda").manual_seed(n + d)
    x = torch.randn(n, d, generator=g, device="cuda")
    y = normalize(x + torch.randn(n, d, generator=g, device="cuda"), dim=-1)
    kind = getattr(torch, dtype)
    scale = torch.tensor(14.3, device="cuda", requires_grad=True)
    return [*(t.to(kind).detach().requires_grad_() for t in (normalize(x, dim=-1), y)), scale]


def once(contender, tensors):
    """Device time of forward and backward, in seconds."""
    import torch

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    loss = contender.loss(*tensors)
    torch.autograd.grad(loss, tensors, allow_unused=True)  # some peers take their scale as a number
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def measure(found, n, d, budget):
    """Every contender at one size, in turns until `budget` seconds are spent on each; at least one, at most 30."""
    import torch

    results, ready = {}, []
    for c in found:
        if c.sizes is not None and (n, d) not in c.sizes:
            continue
        if c.bytes_per_logit * n * n > 0.9 * torch.cuda.mem_get_info()[0]:
            results[c.name] = Measurement(c.name, n, d, None, note="its matrices do not fit")
            continue
        try:
            tensors = inputs(n, d, c.dtype)
            torch.cuda.synchronize()
            once(c, tensors)  # warm: modules, autotuning, compilation
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            first = once(c, tensors)
            ready.append((c, tensors, [first], torch.cuda.max_memory_allocated() - before))
        except torch.cuda.OutOfMemoryError:
            results[c.name] = Measurement(c.name, n, d, None, note="out of memory")
        except Exception as error:  # whatever a baseline raises is its own affair, and is shown
            results[c.name] = Measurement(
                c.name, n, d, None, note=f"{type(error).__name__}: {error}".split("\n")[0][:80]
            )
        torch.cuda.empty_cache()
    for turn in range(29):
        for c, tensors, times, _ in ready:
            if sum(times) < budget or (turn < 2 and max(times) < 1.0):
                times.append(once(c, tensors))
    for c, _, times, used in ready:
        results[c.name] = Measurement(c.name, n, d, statistics.median(times), used, f"median of {len(times)}")
    return [results[c.name] for c in found if c.name in results]


def gemm_rate():
    """TFLOP/s of torch's bf16 product of 8192 x 8192 random matrices: the best of ten, after three."""
    import torch

    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(13):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        torch.mm(a, b)
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return 2 * 8192**3 / min(times[3:]) / 1e12


def small():
    """One small problem of every kind, forward and backward."""
    import torch

    import lpcm

    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        g = torch.Generator(device="cuda").manual_seed(1)
        x, y = (torch.randn(n, 70, generator=g, device="cuda").to(dtype).requires_grad_() for n in (130, 201))
        scale = torch.tensor(1.4, device="cuda", requires_grad=True)
        for similarity in ("dot", "sqeuclidean", "l1"):
            for factor in (1.0, 300.0):  # the second runs the passes with each row's own shift
                lpcm.contrastive_loss(x * factor, y, scale, similarity=similarity).backward()
        lpcm.contrastive_loss(x, None, scale).backward()
        lpcm.sigmoid_loss(x, y, scale, -3.0).backward()
    torch.cuda.synchronize()
    print("small problems: done")


def arguments(argv=None):
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Measure the contrastive loss on a GPU.")
    parser.add_argument("--check", action="store_true", help="only say whether there is a device")
    parser.add_argument("--small", action="store_true", help="only run small problems, for compute-sanitizer")
    parser.add_argument(
        "--seconds", type=float, default=150.0, metavar="S", help="begin no size after this many (150)"
    )
    parser.add_argument(
        "--budget", type=float, default=0.25, metavar="S", help="device time of a contender at a size (0.25)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measurements there")
    given = parser.parse_args(argv)
    if given.seconds <= 0 or given.budget <= 0:
        parser.error("--seconds and --budget must be positive")
    return given


def main(argv=None):
    """Exit code."""
    given = arguments(argv)
    there, what = device_or_reason()
    print(what)
    if not there:
        return NO_DEVICE
    if given.check:
        return 0
    if given.small:
        small()
        return 0
    rate = gemm_rate()
    print(f"bf16 matrix product of 8192: {rate:.0f} TFLOP/s")
    found, notes = contenders()
    for note in notes:
        print(note)
    begun, results = time.monotonic(), []
    sizes = list(dict.fromkeys((*FIRST, LARGEST, *SIZES)))
    for n, d in sizes:
        if time.monotonic() - begun > given.seconds:
            print(f"n = {n}, d = {d} and later sizes are left out: {given.seconds:.0f} s are over")
            break
        who = [c for c in found if c.name == "lpcm bf16"] if (n, d) == LARGEST else found
        results += measure(who, n, d, given.budget)
    print(table(results, rate))
    print(targets_table(results))
    if given.json is not None:
        given.json.write_text(
            json.dumps({"device": what, "gemm_tflops": rate, "rows": as_json(results)}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
