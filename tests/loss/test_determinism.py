"""The same bits from run to run and for any number of threads; memory that does not grow with n x m."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch

import lpcm


def bits(threads, n=2100, m=1700, d=24, **options):
    torch.set_num_threads(threads)
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(n, d, generator=g).requires_grad_(), torch.randn(m, d, generator=g).requires_grad_()
    s, b = torch.tensor(1.5, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
    within = options.pop("within", False)
    loss = lpcm.contrastive_loss(
        x, None if within else y, s, logit_bias=b, labels=None if within else torch.arange(n) % m,
        reduction="none", **options,
    )  # fmt: skip
    loss.square().sum().backward()
    return [loss.detach(), *(t.grad for t in (x, y, s, b) if t.grad is not None)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"precision": "bf16"},
        {"within": True},
        {"similarity": "sqeuclidean"},
        {"similarity": "l1"},
    ],
    ids=str,
)
def test_threads_do_not_show(options):
    once = bits(1, **options)
    for threads in (1, 2, 3, 2):
        for a, b in zip(once, bits(threads, **options), strict=True):
            assert torch.equal(a, b), threads


def peak_extra_mib(n, d, precision):
    """What forward and backward add to the peak of a fresh process, without inputs and gradients, in MiB."""
    script = textwrap.dedent(f"""
        import resource, torch, lpcm
        torch.set_num_threads(2)
        x, y = (torch.nn.functional.normalize(torch.randn({n}, {d})).requires_grad_() for _ in range(2))
        small = [t[:64].detach().requires_grad_() for t in (x, y)]
        lpcm.contrastive_loss(*small, 14.0, precision={precision!r}).backward()
        for t in (x, y):
            t.grad = torch.ones_like(t)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        gradients = torch.autograd.grad(lpcm.contrastive_loss(x, y, 14.0, precision={precision!r}), (x, y))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print((after - before) / 1024 - 2 * {n} * {d} * 4 / 2**20)
    """)
    out = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    return float(out.stdout)


def test_memory_is_linear():
    """Beyond inputs and gradients: sums of one side's gradient (n d) and a constant; the matrix would be 2 GiB."""
    n, d = 16384, 64
    extra = peak_extra_mib(n, d, "fp32")
    assert extra < n * d * 4 / 2**20 + 40  # 40 MiB: one chunk of every operand, and the allocator's slack
