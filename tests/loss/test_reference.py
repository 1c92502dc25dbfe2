"""The reference is the definition: it equals the formulas written with the whole matrix in view."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

import lpcm


def distances(x, y, similarity, power):
    if similarity == "dot":
        return x @ y.T
    p = {"sqeuclidean": 2.0, "l1": 1.0, "lp": power}[similarity]
    return -(x[:, None] - y[None]).abs().pow(p).sum(-1)


@pytest.fixture
def case():
    g = torch.Generator().manual_seed(3)
    return torch.randn(5, 4, generator=g, dtype=torch.float64), torch.randn(
        7, 4, generator=g, dtype=torch.float64
    )


@pytest.mark.parametrize(
    ("similarity", "power"), [("dot", 2), ("sqeuclidean", 2), ("l1", 1), ("lp", 1.5), ("lp", 3)]
)
@pytest.mark.parametrize("labels", [None, 2, [3, 0, 0, 6, 3]])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("directions", ["rows", "both"])
def test_softmax_is_cross_entropy(case, similarity, power, labels, smoothing, directions):
    x, y = case
    s = 1.7 * distances(x, y, similarity, power) - 0.4
    index = torch.arange(5) + (labels or 0) if not isinstance(labels, list) else torch.tensor(labels)
    loss = F.cross_entropy(s, index, label_smoothing=smoothing, reduction="none")
    if directions == "both":
        column = F.cross_entropy(s.T[index], torch.arange(5), label_smoothing=smoothing, reduction="none")
        loss = (loss + column) / 2
    got, lse = lpcm.contrastive_loss(
        x, y, 1.7, similarity=similarity, power=power, logit_bias=-0.4, label_smoothing=smoothing,
        labels=torch.tensor(labels) if isinstance(labels, list) else labels, directions=directions,
        reduction="none", return_lse=True, impl="reference",
    )  # fmt: skip
    tolerance = {"rtol": 1e-12, "atol": 1e-12}  # float64 rounding of sums of a few terms
    torch.testing.assert_close(got, loss, **tolerance)
    torch.testing.assert_close(lse.rows, s.logsumexp(1), **tolerance)
    torch.testing.assert_close(lse.positives, s[torch.arange(5), index], **tolerance)
    if directions == "both":
        torch.testing.assert_close(lse.columns, s.logsumexp(0), **tolerance)


def test_pairs_within_x_are_nt_xent(case):
    """SimCLR, arXiv 2002.05709, equation 1: the row itself is no candidate."""
    x = torch.cat(case)[:8]
    s = 2.0 * x @ x.T
    s.fill_diagonal_(-torch.inf)
    loss = F.cross_entropy(s, (torch.arange(8) + 4) % 8)
    torch.testing.assert_close(lpcm.contrastive_loss(x, None, 2.0, impl="reference"), loss)
    smooth = 0.9 * loss + 0.1 * (s.logsumexp(1) - s.masked_fill(torch.isinf(s), 0).sum(1) / 7).mean()
    torch.testing.assert_close(
        lpcm.contrastive_loss(x, None, 2.0, impl="reference", label_smoothing=0.1), smooth
    )


def test_sigmoid_is_binary_cross_entropy(case):
    x, y = case
    s = 3.0 * x @ y.T - 2.0
    sign = torch.full_like(s, -1.0)
    sign[torch.arange(5), torch.arange(5) + 1] = 1.0
    loss = -F.logsigmoid(sign * s).sum(1)
    got = lpcm.sigmoid_loss(x, y, 3.0, -2.0, labels=1, reduction="none", impl="reference")
    torch.testing.assert_close(got, loss, rtol=1e-12, atol=1e-12)  # float64 rounding


def test_reductions_and_weights(case):
    x, y = case
    w = torch.tensor([1.0, 0.0, 2.0, 0.5, 3.0])
    each = lpcm.contrastive_loss(x, y, 1.0, reduction="none", impl="reference")
    for impl in ("reference", "fused"):
        one = {"impl": impl, "weights": w}
        torch.testing.assert_close(lpcm.contrastive_loss(x, y, 1.0, reduction="none", **one), each * w)
        torch.testing.assert_close(lpcm.contrastive_loss(x, y, 1.0, reduction="sum", **one), (each * w).sum())
        torch.testing.assert_close(lpcm.contrastive_loss(x, y, 1.0, **one), (each * w).sum() / 6.5)
        torch.testing.assert_close(lpcm.contrastive_loss(x, y, 1.0, impl=impl), each.mean())


def test_chunks_do_not_show(case, monkeypatch, differentiate):
    from lpcm.loss import reference

    x, y = case
    losses = [
        lambda a, b, s: lpcm.contrastive_loss(a, b, s, impl="reference"),
        lambda a, b, s: lpcm.contrastive_loss(
            a, b, s, impl="reference", similarity="l1", label_smoothing=0.1
        ),
        lambda a, b, s: lpcm.sigmoid_loss(a, b, s, -1.0, impl="reference"),
    ]
    for loss in losses:
        whole = differentiate(loss, x, y, 2.0)
        with monkeypatch.context() as patch:
            patch.setattr(reference, "_CHUNK_ELEMENTS", 14)
            parts = differentiate(loss, x, y, 2.0)
        for a, b in zip(whole, parts, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)  # another order of float64 sums


def test_normalize_divides_by_norms(case):
    x, y = case
    for impl in ("reference", "fused"):
        got = lpcm.contrastive_loss(x * 5, y * 0.1, 3.0, normalize=True, impl=impl)
        torch.testing.assert_close(got, lpcm.contrastive_loss(F.normalize(x), F.normalize(y), 3.0, impl=impl))
