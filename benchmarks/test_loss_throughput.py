"""The contrastive loss, forward and backward, beside every baseline: ``pytest benchmarks/test_loss_throughput.py``.

`lpcm-bench` prints the same comparison with contenders in turns, memory, and the fraction of the machine's peak.
"""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

import lpcm
from lpcm.loss.throughput import contenders

N, D = 2048, 512


@pytest.fixture(scope="module")
def features():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=g)
    return normalize(x, dim=-1), normalize(x + torch.randn(N, D, generator=g), dim=-1)


@pytest.mark.benchmark(group=f"loss n={N} d={D}")
@pytest.mark.parametrize("contender", contenders(compiled=False), ids=lambda c: c.name)
def test_forward_and_backward(benchmark, contender, features):
    x, y = (t.to(contender.dtype).requires_grad_() for t in (features[0].clone(), features[1].clone()))
    s = torch.tensor(14.3, requires_grad=True)
    benchmark.extra_info["flop"] = 8 * N * N * D
    benchmark(lambda: torch.autograd.grad(contender.loss(x, y, s), (x, y, s)))


@pytest.mark.benchmark(group=f"options n={N} d={D}")
@pytest.mark.parametrize("form", ["both", "rows", "within", "frozen", "sigmoid", "sqeuclidean"])
def test_forms_of_the_loss(benchmark, form, features):
    """Pairs within x should cost half of 'both', a frozen side three quarters."""
    x, y = features[0].clone().requires_grad_(), features[1].clone().requires_grad_(form != "frozen")
    leaves = [x] if form in ("within", "frozen") else [x, y]

    def run():
        if form == "within":
            loss = lpcm.contrastive_loss(x, None, 14.3)
        elif form == "sigmoid":
            loss = lpcm.sigmoid_loss(x, y, 14.3, -10.0)
        elif form == "sqeuclidean":
            loss = lpcm.contrastive_loss(x, y, 7.15, similarity="sqeuclidean")
        else:
            loss = lpcm.contrastive_loss(x, y, 14.3, directions="rows" if form == "rows" else "both")
        return torch.autograd.grad(loss, leaves)

    benchmark(run)


@pytest.mark.benchmark(group="latent geometries n=2048 d=10")
@pytest.mark.parametrize("similarity", ["dot", "sqeuclidean", "l1", "lp"])
def test_similarities_of_small_latents(benchmark, similarity, features):
    x, y = (t[:, :10].clone().requires_grad_() for t in features)
    power = 3.0 if similarity == "lp" else 2.0
    benchmark(
        lambda: torch.autograd.grad(
            lpcm.contrastive_loss(x, y, 5.0, similarity=similarity, power=power), (x, y)
        )
    )
