"""Errors against float64: at most those of torch's own expression in the same precision, and kept when it loses all."""

import pytest
import torch
from open_clip.loss import ClipLoss as Eager

import lpcm

SIZES = [1, 3, 7, 15, 17, 31, 33, 127, 257, 1000]
WIDTHS = [1, 3, 17, 65, 129, 513, 2048]
CASES = [(n, WIDTHS[(i + k) % len(WIDTHS)]) for i, n in enumerate(SIZES) for k in (0, 2, 4)]


def loss(impl="auto", precision="auto"):
    return lambda x, y, s: lpcm.contrastive_loss(x, y, s, impl=impl, precision=precision)


@pytest.mark.parametrize("kind", ["random", "correlated", "close"])
@pytest.mark.parametrize("scale", [14.0, 100.0])
@pytest.mark.parametrize(("n", "d"), CASES)
def test_fp32_errs_no_more_than_torch(n, d, scale, kind, towers, differentiate, relative):
    x, y = towers(n, d, kind)
    truth = differentiate(loss("reference"), x, y, scale)
    ours = differentiate(loss(), x, y, scale, dtype=torch.float32)
    torch_ = differentiate(Eager(), x, y, scale, dtype=torch.float32)
    # Both round logits as large as the scale: 2^-24 of it each, a few of them meet in one exponential. Below that floor
    # (or the size of the gradient, when it is zero in exact arithmetic) which of the two errs less is luck.
    floor = 8 * 2.0**-24 * scale
    for name, got, eager, true in zip(("loss", "x", "y"), ours, torch_, truth, strict=False):
        if true.norm() < 1e-30:
            assert got.norm() < 1e-20
        else:
            assert relative(got, true) <= 2 * relative(eager, true) + floor, name
    # the derivative of the scale is a sum over rows of terms of both signs: its error is measured against their sizes
    terms = (x.double() * truth[1]).sum(1).abs().sum() / scale
    got, eager, true = (values[3] for values in (ours, torch_, truth))
    assert (got - true).abs() <= 2 * (eager - true).abs() + floor * terms + 1e-20


@pytest.mark.parametrize("kind", ["random", "correlated", "close"])
@pytest.mark.parametrize("scale", [14.0, 100.0])
@pytest.mark.parametrize(("n", "d"), [(3, 17), (33, 65), (257, 513), (127, 2048)])
def test_bf16_errs_no_more_than_torch(n, d, scale, kind, towers, differentiate, relative):
    x, y = (t.bfloat16().float() for t in towers(n, d, kind))
    truth = differentiate(loss("reference"), x, y, scale)
    ours = differentiate(loss(), x, y, scale, dtype=torch.bfloat16)
    eager = differentiate(lambda a, b, s: Eager()(a, b, s.bfloat16()), x, y, scale, dtype=torch.bfloat16)
    for got, theirs, true in zip(ours, eager, truth, strict=True):
        # 2^-8: gradients are returned in bf16, whose rounding alone is up to 2^-9 of each element
        assert relative(got, true) <= relative(theirs, true) + 2.0**-8


@pytest.mark.parametrize("target", [1e-3, 1e-6, 1e-12])
def test_converged_losses_keep_their_digits(target, level, differentiate, relative):
    """Orthonormal pairs: every row has loss log(1 + (n - 1) exp(-scale)), down to 1e-12 where torch's fp32 gives 0."""
    n, d = 33, 64
    x = torch.eye(n, d)
    scale = torch.log(torch.tensor((n - 1) / target, dtype=torch.float64)).float()
    exact = torch.log1p((n - 1) * torch.exp(-scale.double()))
    assert exact == pytest.approx(target, rel=1e-2)
    ours = differentiate(loss(), x, x, scale, dtype=torch.float32)
    truth = differentiate(loss("reference"), x, x, scale)
    # fp32 logits of up to 31 round by 2^-20 at most, which is the relative error of exp; the requirement is 1e-3
    assert ours[0].item() == pytest.approx(exact.item(), rel=1e-5)
    for got, true in zip(ours[1:], truth[1:], strict=True):
        assert relative(got, true) < 1e-5


def test_torch_loses_the_converged_loss():
    """The reason why the positive is kept out of the sums."""
    x = torch.eye(33, 64)
    assert Eager()(x, x, torch.tensor(31.0)) == 0.0
    assert lpcm.contrastive_loss(x, x, 31.0) > 0.0


@pytest.mark.parametrize("d", [256, 1024, 2048])
def test_scale_100_with_unrelated_towers(d, towers, differentiate, relative):
    """A shift of `scale` would flush every term of these rows to zero."""
    x, y = towers(512, d)
    truth = differentiate(loss("reference"), x, y, 100.0)
    ours = differentiate(loss(), x, y, 100.0, dtype=torch.float32)
    for got, true in zip(ours, truth, strict=True):
        assert relative(got, true) < 2e-5  # the promise of fp32


@pytest.mark.parametrize("spread", [30.0, 300.0, 3000.0])
def test_features_of_any_size(spread, level, towers, differentiate, relative):
    """Logits beyond any window make the sums be taken with each row's and column's own maximum."""
    x, y = towers(65, 9)
    x = x * torch.linspace(-1, 1, 65)[:, None] * spread
    y = y * torch.linspace(0.1, 1, 65)[:, None]
    truth = differentiate(loss("reference"), x, y, 10.0)
    ours = differentiate(loss(), x, y, 10.0, dtype=torch.float32)
    for got, true in zip(ours, truth, strict=True):
        assert torch.isfinite(got).all()
        # logits of up to 10 * spread round by 2^-24 of that, and exp makes it a relative error
        assert relative(got, true) < 16 * 2.0**-24 * 10 * spread


def test_the_lse_is_right_when_returned(level, towers):
    x, y = towers(130, 33, m=201)
    for bias in (None, -7.5):
        _, lse = lpcm.contrastive_loss(x, y, 14.0, logit_bias=bias, return_lse=True, labels=5)
        s = 14.0 * (x.double() @ y.double().T) + (bias or 0.0)
        for got, true in (
            (lse.rows, s.logsumexp(1)),
            (lse.columns, s.logsumexp(0)),
            (lse.positives, s.diagonal(5)),
        ):
            torch.testing.assert_close(got, true, rtol=0, atol=5e-6)  # fp32 logits of up to 14 round by 2^-21
