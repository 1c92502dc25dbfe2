"""Bad input never crashes: it is an exception that says what was given, or the right answer."""

import re
from functools import partial

import pytest
import torch

import lpcm
from lpcm import _core

X, Y = torch.eye(4, 6), torch.eye(4, 6)
WRONG = [
    ((X[0], Y, 1.0), {}, ValueError, r"x has shape (6,): expected (rows, d)"),
    ((X[None], Y, 1.0), {}, ValueError, r"x has shape (1, 4, 6)"),
    ((X, Y[:, :5], 1.0), {}, ValueError, r"x has shape (4, 6) and y (4, 5)"),
    ((X[:0], Y, 1.0), {}, ValueError, r"empty batch: x has shape (0, 6), y (4, 6)"),
    ((X, Y[:0], 1.0), {}, ValueError, r"empty batch"),
    ((X, Y[:3], 1.0), {}, ValueError, r"expected 0 <= offset <= 3 - 4"),
    ((X, Y, 1.0), {"labels": 1}, ValueError, r"offset"),
    ((X, Y, 1.0), {"labels": -1}, ValueError, r"offset"),
    ((X, Y, 1.0), {"labels": torch.tensor([0, 1, 2, 4])}, ValueError, r"row 3 has its positive in column 4"),
    (
        (X, Y, 1.0),
        {"labels": torch.tensor([0, 1, -2, 3])},
        ValueError,
        r"row 2 has its positive in column -2",
    ),
    ((X, Y, 1.0), {"labels": torch.tensor([0, 1, 2])}, ValueError, r"labels have shape (3,)"),
    ((X, Y, 1.0), {"labels": torch.tensor([0.0, 1, 2, 3])}, ValueError, r"torch.int64"),
    ((X, Y, 1.0), {"labels": "diagonal"}, TypeError, r"'diagonal'"),
    ((X, Y, 1.0), {"labels": True}, TypeError, r"True"),
    ((X.int(), Y, 1.0), {}, TypeError, r"x has dtype torch.int32"),
    ((X.to(torch.complex64), Y, 1.0), {}, TypeError, r"torch.complex64"),
    ((X.tolist(), Y, 1.0), {}, TypeError, r"x must be a tensor, got list"),
    ((X.to_sparse(), Y, 1.0), {}, TypeError, r"x.to_dense()"),
    ((X, Y.to("meta"), 1.0), {}, ValueError, r"y on meta"),
    ((X, Y, torch.tensor(1.0, device="meta")), {}, ValueError, r"logit_scale is on meta"),
    ((X, Y, torch.ones(2)), {}, ValueError, r"logit_scale has shape (2,)"),
    ((X, Y, torch.tensor(3)), {}, TypeError, r"logit_scale has dtype torch.int64"),
    ((X, Y, "warm"), {}, TypeError, r"logit_scale must be a number"),
    ((X, Y, None), {}, TypeError, r"got None"),
    ((X, Y, float("nan")), {}, ValueError, r"logit_scale is nan: expected a finite number"),
    ((X, Y, float("inf")), {}, ValueError, r"logit_scale is inf"),
    ((X, Y, 1.0), {"logit_bias": float("-inf")}, ValueError, r"logit_bias is -inf"),
    ((X, Y, 1.0), {"similarity": "dott"}, ValueError, r"did you mean 'dot'?"),
    ((X, Y, 1.0), {"similarity": "lp", "power": 0.5}, ValueError, r"power=0.5"),
    ((X, Y, 1.0), {"similarity": "lp", "power": float("nan")}, ValueError, r"power=nan"),
    ((X, Y, 1.0), {"precision": "fp16"}, ValueError, r"precision='fp16'"),
    ((X, Y, 1.0), {"impl": "fast"}, ValueError, r"impl='fast'"),
    ((X, Y, 1.0), {"reduction": "avg"}, ValueError, r"reduction='avg'"),
    ((X, Y, 1.0), {"directions": "columns"}, ValueError, r"directions='columns'"),
    ((X, Y, 1.0), {"label_smoothing": 1.0}, ValueError, r"label_smoothing=1.0"),
    ((X, Y, 1.0), {"weights": torch.ones(3)}, ValueError, r"one weight for each row"),
    ((X, Y, 1.0), {"weights": [1, 2, 3, 4]}, ValueError, r"list"),
    ((X.double(), Y.double(), 1.0), {"precision": "bf16"}, ValueError, r"float64 features"),
    ((X[:3], None, 1.0), {}, ValueError, r"n must be even, got 3"),
    (
        (X[:1], None, 1.0),
        {"labels": torch.tensor([0])},
        ValueError,
        r"at least two rows, got x of shape (1, 6)",
    ),
    ((X, None, 1.0), {"directions": "both"}, ValueError, r"directions must be 'rows'"),
    ((X, None, 1.0), {"labels": torch.tensor([1, 0, 2, 3])}, ValueError, r"row 2 names itself"),
    ((X, None, 1.0), {"labels": torch.tensor([1, 2, 3, 0])}, ValueError, r"must be mutual"),
]


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    WRONG,
    ids=lambda v: str(v)[:40] if isinstance(v, str) else "",
)
def test_wrong_arguments_are_named(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        lpcm.contrastive_loss(*arguments, **options)


def test_sigmoid_needs_both_sides():
    with pytest.raises(TypeError, match="both sides"):
        lpcm.sigmoid_loss(X, None, 1.0, 0.0)


@pytest.mark.parametrize("impl", ["fused", "reference"])
def test_smallest_problems_are_right(impl, differentiate):
    """One pair has nothing to be told apart from: the loss is 0 and so is every gradient."""
    one = torch.tensor([[2.0, 1.0]])
    for value in differentiate(lambda x, y, s: lpcm.contrastive_loss(x, y, s, impl=impl), one, -one, 3.0):
        assert (value == 0).all()
    two = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    for value in differentiate(lambda x, s: lpcm.contrastive_loss(x, None, s, impl=impl), two, 3.0):
        assert (value == 0).all()


@pytest.mark.parametrize("impl", ["fused", "reference"])
def test_no_features_at_all(impl):
    """With d = 0 all logits are equal."""
    x = torch.zeros(3, 0, requires_grad=True)
    loss = lpcm.contrastive_loss(x, torch.zeros(3, 0), 5.0, impl=impl)
    loss.backward()
    torch.testing.assert_close(loss, torch.log(torch.tensor(3.0)))
    assert x.grad.shape == (3, 0)


@pytest.mark.parametrize("scale", [0.0, -20.0])
def test_any_finite_scale(scale, level, towers, differentiate, relative):
    x, y = towers(40, 9)
    for similarity in ("dot", "sqeuclidean", "l1"):
        loss = partial(lpcm.contrastive_loss, similarity=similarity)
        ours = differentiate(loss, x, y, scale, dtype=torch.float32)
        truth = differentiate(partial(loss, impl="reference"), x, y, scale)
        for got, true in zip(ours, truth, strict=True):
            assert relative(got, true) < 5e-5 or true.norm() == got.norm() == 0  # logits of up to 100 in fp32


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", ["x", "y"])
def test_non_finite_features_spoil_what_they_spoil_in_torch(value, where, level, towers):
    x, y = (t.clone() for t in towers(40, 9))
    (x if where == "x" else y)[7, 3] = value
    for options in (
        {"directions": "rows"},
        {"directions": "both"},
        {"directions": "rows", "similarity": "l1"},
    ):
        ours = lpcm.contrastive_loss(x, y, 5.0, reduction="none", impl="fused", **options)
        plain = lpcm.contrastive_loss(x, y, 5.0, reduction="none", impl="reference", **options)
        assert torch.equal(torch.isfinite(ours), torch.isfinite(plain)), options
        kept = torch.isfinite(plain)
        torch.testing.assert_close(ours[kept], plain[kept], rtol=1e-4, atol=1e-6)  # fp32 logits of up to 15
    a = x.clone().requires_grad_()
    lpcm.contrastive_loss(a, y, 5.0, impl="fused").backward()
    assert not torch.isfinite(a.grad).all()


def test_rows_of_zeros_are_ordinary(towers, differentiate, relative):
    x, y = (t.clone() for t in towers(20, 9))
    x[3], y[5] = 0.0, 0.0
    ours = differentiate(lambda a, b, s: lpcm.contrastive_loss(a, b, s), x, y, 14.0, dtype=torch.float32)
    truth = differentiate(lambda a, b, s: lpcm.contrastive_loss(a, b, s, impl="reference"), x, y, 14.0)
    for got, true in zip(ours, truth, strict=True):
        assert relative(got, true) < 2e-5  # fp32's promise


def test_indices_beyond_32_bits():
    """Row strides whose products pass 2^31 elements; the memory between the rows is never touched."""
    stride = (1 << 31) // 2 + 7
    storage = torch.empty(3 * stride, dtype=torch.float16)  # 6 GB of address space, three pages of memory
    x = storage.as_strided((3, 4), (stride, 1))
    x.copy_(torch.eye(3, 4))
    got = lpcm.contrastive_loss(x, torch.eye(3, 4), 5.0)
    torch.testing.assert_close(got, lpcm.contrastive_loss(torch.eye(3, 4), torch.eye(3, 4), 5.0))


def test_the_core_checks_for_itself():
    good = (X.data_ptr(), "float32", 4, 6, 6, 1)
    options = {
        "objective": "softmax",
        "directions": "rows",
        "similarity": "dot",
        "power": 2.0,
        "precision": "fp32",
        "threads": 1,
        "level": "",
    }
    out = [torch.empty(4, dtype=torch.float64) for _ in range(3)]
    addresses = [out[0].data_ptr(), 0, out[2].data_ptr()]
    scale = torch.ones(())
    place = (scale.data_ptr(), "float32")
    _core.contrastive_forward(good, good, place, None, 0, 0, options, addresses)
    for change, message in [
        ({"objective": "hinge"}, "objective is 'hinge'"),
        ({"level": "sse9"}, "no CPU level"),
        ({"threads": 0}, "threads"),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.contrastive_forward(good, good, place, None, 0, 0, {**options, **change}, addresses)
    with pytest.raises(ValueError, match="same width"):
        _core.contrastive_forward(
            good, (X.data_ptr(), "float32", 4, 5, 6, 1), place, None, 0, 0, options, addresses
        )
    with pytest.raises(ValueError, match="column 4"):
        _core.contrastive_forward(good, good, place, None, 0, 1, options, addresses)


def test_the_reference_refuses_a_lone_row_too():
    """Nothing is left to compare with: a loss of zero would look like an answer."""
    with pytest.raises(ValueError, match="at least two rows"):
        lpcm.contrastive_loss(X[:1], None, 1.0, labels=torch.tensor([0]), impl="reference")
