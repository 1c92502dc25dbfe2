"""Random problems: whatever the shapes, dtypes, strides and options, fused and reference agree.

The suite and continuous integration try the same 2,000 at every run. `LPCM_TEST_CASES` tries that many others, from the
seed of `--hypothesis-seed` and for as long as it takes: `make loss-cases`.
"""

import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lpcm
from lpcm.loss import reference
from lpcm.loss.problem import Problem

MORE = "LPCM_TEST_CASES" in os.environ
CASES = int(os.environ.get("LPCM_TEST_CASES", "2000"))
SIZES = st.one_of(
    st.integers(1, 40), st.sampled_from([1, 3, 7, 15, 16, 17, 31, 32, 33, 48, 127, 128, 129, 193, 257])
)
WIDTHS = st.one_of(st.integers(1, 40), st.sampled_from([1, 15, 16, 17, 31, 32, 33, 64, 65]))
STRIDES = st.sampled_from(["plain", "transposed", "strided", "expanded"])
DTYPES = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16])
SIMILARITIES = st.sampled_from(
    [("dot", 2.0), ("dot", 2.0), ("sqeuclidean", 2.0), ("l1", 1.0), ("lp", 1.5), ("lp", 2.0), ("lp", 4.0)]
)


def features(generator, rows, d, dtype, strides, size):
    t = torch.randn(rows, d, generator=generator) * size / d**0.5
    if strides == "expanded":
        return t[:1].to(dtype).expand(rows, d)
    if strides == "transposed":
        return t.T.contiguous().T.to(dtype)
    return torch.stack([t, t], 1).to(dtype)[:, 0] if strides == "strided" else t.to(dtype)


@st.composite
def problems(draw):
    form = draw(st.sampled_from(["both", "both", "rows", "within", "sigmoid"]))
    n, m, d = draw(SIZES), draw(SIZES), draw(WIDTHS)
    if form == "within":
        n = m = n + n % 2
    kind = "offset" if form == "within" else draw(st.sampled_from(["offset", "distinct", "any"]))
    if kind != "any":
        n, m = min(n, m), max(n, m)
    seed = draw(st.integers(0, 2**32))
    return {
        "form": form, "n": n, "m": m, "d": d, "labels": kind, "seed": seed,
        "offset": draw(st.integers(0, m - n)) if kind == "offset" else 0,
        "dtypes": (draw(DTYPES), draw(DTYPES)), "strides": (draw(STRIDES), draw(STRIDES)),
        "similarity": draw(SIMILARITIES),
        "scale": draw(st.sampled_from([0.0, 0.3, 5.0, 14.3, -3.0])),
        "bias": draw(st.sampled_from([None, -10.0, 0.5])),
        "smoothing": draw(st.sampled_from([0.0, 0.0, 0.1])),
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
        "weighted": draw(st.booleans()), "wanted": draw(st.tuples(*[st.booleans()] * 4)),
    }  # fmt: skip


def run(p, impl, precision):
    g = torch.Generator().manual_seed(p["seed"])
    exact = impl == "reference"
    x, y = (
        features(g, rows, p["d"], dtype, strides, 1.0).to(torch.float64 if exact else dtype)
        for rows, dtype, strides in zip((p["n"], p["m"]), p["dtypes"], p["strides"], strict=True)
    )
    labels = {
        "offset": p["offset"],
        "distinct": torch.randperm(p["m"], generator=g)[: p["n"]],
        "any": torch.randint(0, p["m"], (p["n"],), generator=g),
    }[p["labels"]]
    s, b = (
        torch.tensor(p["scale"], dtype=torch.float64),
        None if p["bias"] is None else torch.tensor(p["bias"]).double(),
    )
    weights = torch.rand(p["n"], generator=g) + 0.5 if p["weighted"] else None
    leaves = [t for t in (x, y, s, b) if t is not None]
    wanted = [t.requires_grad_(w) for t, w in zip(leaves, p["wanted"], strict=False) if w]
    common = {
        "similarity": p["similarity"][0], "power": p["similarity"][1], "weights": weights,
        "reduction": p["reduction"], "impl": impl, "precision": precision,
    }  # fmt: skip
    if p["form"] == "sigmoid":
        loss = lpcm.sigmoid_loss(x, y, s, b, labels=labels, **common)
    elif p["form"] == "within":
        wanted = [t for t in wanted if t is not y]
        loss = lpcm.contrastive_loss(x, None, s, logit_bias=b, label_smoothing=p["smoothing"], **common)
    else:
        loss = lpcm.contrastive_loss(
            x,
            y,
            s,
            logit_bias=b,
            labels=labels,
            directions=p["form"],
            label_smoothing=p["smoothing"],
            **common,
        )
    if wanted and loss.requires_grad:
        loss.sum().backward()
    x, y = x.detach(), (x if p["form"] == "within" else y).detach()
    similarities = reference.similarity_matrix(
        x.double(), y.double(), Problem(similarity=p["similarity"][0], power=p["similarity"][1])
    )
    largest = (p["scale"] * similarities).abs().max().item()
    return [loss.detach().double(), largest], [(t.grad.double(), t) for t in wanted if t.grad is not None]


@pytest.mark.timeout(0 if MORE else 600)
@settings(
    max_examples=CASES, deadline=None, derandomize=not MORE, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(problems())
def test_fused_agrees_with_the_reference(p):
    dtypes = p["dtypes"][:1] if p["form"] == "within" else p["dtypes"]
    (ours, _), gradients = run(p, "fused", "auto" if torch.float64 in dtypes else "fp32")
    (truth, logit), exact = run(p, "reference", "auto")
    size = 1 + truth.abs().max()
    # An fp32 logit rounds by 2^-24 of its size a few times over, and the exponential makes that relative.
    tolerance = 2.0**-20 * max(30.0, logit)
    assert (ours - truth).abs().max() <= tolerance * size
    assert len(gradients) == len(exact)
    total = (p["n"] if p["reduction"] != "mean" else 1.5) * max(1.0, abs(p["scale"]))
    for (got, leaf), (true, _) in zip(gradients, exact, strict=True):
        # Gradients come back in the dtype of their leaf, and are differences of terms as large as weight x scale: one
        # rounding of the result, and fp32 rounding of the terms (a row of distances adds up m of them for the sigmoid).
        terms = max(1.0, true.norm().item() / 10, total if p["form"] != "sigmoid" else total * p["m"]) * 12
        # With smoothing autograd adds two gradients, each rounded to that dtype.
        rounded = true.norm() + (terms if p["smoothing"] else 0.0)
        # What is beyond the largest number of that dtype, of float16 say, comes back infinite, as torch casts it.
        over = got.isinf()
        assert (true[over] * got[over].sign() > torch.finfo(leaf.dtype).max * (1 - tolerance)).all()
        got = torch.where(over, true, got)
        assert (got - true).norm() <= torch.finfo(leaf.dtype).eps * rounded + tolerance * terms
