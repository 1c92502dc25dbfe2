"""Every level and every option agree with the reference in float64."""

import itertools
from functools import partial

import pytest
import torch

import lpcm

SHAPES = [(1, 3, 5), (7, 7, 1), (17, 40, 31), (130, 201, 33)]
SIMILARITIES = [("dot", 2.0), ("sqeuclidean", 2.0), ("l1", 1.0), ("lp", 1.0), ("lp", 1.5), ("lp", 3.0)]
# Relative Frobenius error of gradients and weighted losses. fp32: the promise. bf16: features round by 2^-9, logits of
# up to 14 by about 2^-6 then, and exp makes that relative.
TOLERANCE = {"fp32": 2e-5, "bf16": 4e-2}


def forms(n, m):
    g = torch.Generator().manual_seed(n)
    distinct = torch.randperm(m, generator=g)[:n]
    repeated = torch.randint(0, m, (n,), generator=g)
    yield "softmax", {"directions": "both", "labels": m - n}
    yield "softmax", {"directions": "both", "labels": distinct}
    yield "softmax", {"directions": "both", "labels": repeated}
    yield "softmax", {"directions": "rows", "labels": repeated, "label_smoothing": 0.1}
    yield "within", {}
    yield "sigmoid", {"labels": distinct}


def softmax(x, y, s, b, **options):
    return lpcm.contrastive_loss(x, y, s, logit_bias=b, **options)


def within(x, s, b, **options):
    return lpcm.contrastive_loss(x, None, s, logit_bias=b, **options)


def sigmoid(x, y, s, b, **options):
    return lpcm.sigmoid_loss(x, y, s, b, **options)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_agree_with_the_reference(level, precision, shape, towers, differentiate, relative):
    n, m, d = shape
    for (similarity, power), (form, options) in itertools.product(SIMILARITIES, forms(n, m)):
        rows = n + n % 2 if form == "within" else n
        x, y = towers(rows, d, m=m)
        weights = torch.rand(rows, generator=torch.Generator().manual_seed(1))
        common = {"similarity": similarity, "power": power, "weights": weights, "reduction": "sum", **options}
        loss = partial({"sigmoid": sigmoid, "within": within}.get(form, softmax), **common)
        leaves = (x, 14.0, -3.0) if form == "within" else (x, y, 14.0, -3.0)
        ours = differentiate(partial(loss, precision=precision), *leaves, dtype=torch.float32)
        truth = differentiate(partial(loss, impl="reference"), *leaves)
        # A derivative is a sum of terms of both signs, of the size of scale x weight x feature, and d = 1 has unit
        # features whose terms cancel altogether: the error is measured against the terms where they exceed their sum.
        terms = 14.0 * weights.norm().item()
        for got, true in zip(ours, truth, strict=True):
            size = max(true.norm().item(), terms)
            assert (got - true).norm() <= TOLERANCE[precision] * size, (similarity, form, options)


@pytest.mark.parametrize("shape", [(1100, 1600, 40), (1025, 769, 17)], ids=str)
def test_more_than_one_chunk(shape, level, towers, differentiate, relative):
    """Rows and columns past the first chunk, tile and block, at sizes that divide by none of them."""
    if level in ("generic", "emulated-amx"):
        shape = (1025, 769, 5)  # plain C++: fewer features, the same edges
    n, m, d = shape
    x, y = towers(n, d, m=m)
    labels = torch.arange(n) % m
    ours = differentiate(
        lambda a, b, s: lpcm.contrastive_loss(a, b, s, labels=labels), x, y, 14.0, dtype=torch.float32
    )
    truth = differentiate(
        lambda a, b, s: lpcm.contrastive_loss(a, b, s, labels=labels, impl="reference"), x, y, 14.0
    )
    for got, true in zip(ours, truth, strict=True):
        assert relative(got, true) < TOLERANCE["fp32"]
    even = x[: n - n % 2]
    ours = differentiate(lambda a, s: lpcm.contrastive_loss(a, None, s), even, 14.0, dtype=torch.float32)
    truth = differentiate(lambda a, s: lpcm.contrastive_loss(a, None, s, impl="reference"), even, 14.0)
    for got, true in zip(ours, truth, strict=True):
        assert relative(got, true) < TOLERANCE["fp32"]


def test_float64_is_float64(towers, differentiate, relative):
    for similarity, power in SIMILARITIES:
        x, y = towers(40, 7, m=50)
        loss = partial(lpcm.contrastive_loss, similarity=similarity, power=power)
        fused = differentiate(loss, x, y, 14.0)
        plain = differentiate(partial(loss, impl="reference"), x, y, 14.0)
        for got, true in zip(fused, plain, strict=True):
            assert relative(got, true) < 1e-12, similarity  # two orders of float64 sums


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("layout", ["transposed", "strided", "expanded", "unaligned"])
def test_any_dtype_and_strides(dtype, layout, towers):
    x, y = (t.to(dtype) for t in towers(24, 10))
    view = {
        "transposed": lambda t: t.T.contiguous().T,
        "strided": lambda t: torch.stack([t, -t], 2).flatten(1)[:, ::2],
        "expanded": lambda t: t[:1].expand(24, 10),
        "unaligned": lambda t: torch.cat([t.new_zeros(1), t.flatten()])[1:].view(24, 10),
    }[layout]
    a, b = view(x).detach().requires_grad_(), view(y).detach().requires_grad_()
    c, d = (t.detach().contiguous().clone().requires_grad_() for t in (a, b))
    first, second = lpcm.contrastive_loss(a, b, 9.0), lpcm.contrastive_loss(c, d, 9.0)
    first.backward()
    second.backward()
    assert first.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert a.grad.dtype == dtype
    # the same numbers in the same order: the same bits
    assert torch.equal(first, second)
    assert torch.equal(a.grad, c.grad)
    assert torch.equal(b.grad, d.grad)


def test_half_precision_gradients_round_once(towers):
    """Subnormals, overflow and ties of float16 as torch rounds them."""
    x, y = towers(16, 8)
    for factor in (1e-7, 1e-3, 1.0, 1e5, 3e7):
        a, b = x.half().requires_grad_(), x.half().float().requires_grad_()
        for leaf in (a, b):
            (lpcm.contrastive_loss(leaf, y, 5.0, precision="fp32") * factor).backward()
        assert torch.equal(a.grad, b.grad.half()), factor
