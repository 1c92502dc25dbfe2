"""What torch expects of an operator: gradients, gradients of nothing, compilation, autocast."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import lpcm
from lpcm.loss import operator

OPTIONS = [
    {},
    {"similarity": "sqeuclidean"},
    {"similarity": "l1"},
    {"similarity": "lp", "power": 3.0},
    {"directions": "rows", "label_smoothing": 0.2},
    {"labels": torch.tensor([0, 0, 1, 5, 2, 2])},
]


@pytest.fixture
def leaves(towers):
    x, y = (t.double().requires_grad_() for t in towers(6, 3))
    return (
        x,
        y,
        torch.tensor(5.0, dtype=torch.float64, requires_grad=True),
        torch.tensor(-1.0).double().requires_grad_(),
    )


@pytest.mark.parametrize("impl", ["fused", "reference"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradcheck(leaves, impl, options):
    def each(x, y, s, b):
        return lpcm.contrastive_loss(x, y, s, logit_bias=b, impl=impl, reduction="none", **options)

    assert gradcheck(each, leaves)


@pytest.mark.parametrize("impl", ["fused", "reference"])
def test_gradcheck_of_lse_sigmoid_and_pairs_within(leaves, impl):
    x, _y, s, _b = leaves
    assert gradcheck(lambda *t: lpcm.sigmoid_loss(*t, impl=impl, reduction="none"), leaves)
    assert gradcheck(lambda x, s: lpcm.contrastive_loss(x, None, s, impl=impl, reduction="none"), (x, s))
    assert gradcheck(
        lambda x, y, s, b: tuple(lpcm.contrastive_loss(x, y, s, logit_bias=b, impl=impl, return_lse=True)[1]),
        leaves,
    )


def test_second_derivatives_come_from_the_reference_only(leaves):
    x, y, s, _b = leaves
    assert gradgradcheck(lambda x, y, s: lpcm.contrastive_loss(x, y, s, impl="reference"), (x, y, s))
    (gradient,) = torch.autograd.grad(lpcm.contrastive_loss(x, y, s), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"second derivative.*impl='reference'"):
        gradient.sum().backward()


def test_backward_twice_with_a_retained_graph(leaves):
    x, y, s, _ = leaves
    loss = lpcm.contrastive_loss(x, y, s)
    loss.backward(retain_graph=True)
    once = x.grad.clone()
    loss.backward()
    assert torch.equal(x.grad, 2 * once)


def test_gradient_is_linear_in_what_arrives(towers):
    """A gradient scaler multiplies the loss by a power of two and divides the gradients by it."""
    x, y = towers(33, 9)
    gradients = []
    for factor in (1.0, 65536.0):
        a = x.clone().requires_grad_()
        (lpcm.contrastive_loss(a, y, 14.0) * factor).backward()
        gradients.append(a.grad / factor)
    assert torch.equal(*gradients)  # powers of two round nothing


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_frozen_inputs_get_no_gradient_and_cost_no_work(towers, wanted):
    x, y = towers(40, 8)
    leaves = [t.clone().requires_grad_(w) for t, w in zip((x, y, torch.tensor(9.0)), wanted, strict=True)]
    lpcm.contrastive_loss(*leaves).backward()
    assert [t.grad is not None for t in leaves] == list(wanted)
    everything = [t.detach().clone().requires_grad_() for t in leaves]
    lpcm.contrastive_loss(*everything).backward()
    for some, all_ in zip(leaves, everything, strict=True):
        assert some.grad is None or torch.equal(some.grad, all_.grad)


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"
)  # torch's own check
@pytest.mark.parametrize("form", ["both", "rows", "within", "sigmoid", "labels"])
def test_opcheck(form, towers):
    x, y = (t.requires_grad_() for t in towers(12, 5))
    scale, bias = torch.tensor(9.0, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
    labels = (torch.arange(12) + 6) % 12 if form in ("within", "labels") else None
    arguments = (
        x, None if form == "within" else y, scale, bias, labels, 0,
        "sigmoid" if form == "sigmoid" else "softmax", "both" if form in ("both", "labels") else "rows",
        "dot", 2.0, "auto", "",
    )  # fmt: skip
    torch.library.opcheck(operator.contrastive_statistics, arguments)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own imports
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_as_one_graph(dynamic, towers, differentiate):
    def loss(x, y, s):
        return lpcm.contrastive_loss(x, y, s, label_smoothing=0.1) + lpcm.sigmoid_loss(x, y, s, -3.0)

    compiled = torch.compile(loss, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for n in (33, 40):
        x, y = towers(n, 9)
        plain = differentiate(loss, x, y, 14.0, dtype=torch.float32)
        fast = differentiate(compiled, x, y, 14.0, dtype=torch.float32)
        for a, b in zip(plain, fast, strict=True):
            torch.testing.assert_close(
                a, b, rtol=1e-6, atol=1e-7
            )  # fused elementwise sums may round differently


def test_autocast_lowers_products_and_nothing_else(towers):
    x, y = towers(64, 32)
    full = lpcm.contrastive_loss(x, y, 14.0)
    low = lpcm.contrastive_loss(x, y, 14.0, precision="bf16")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        auto = lpcm.contrastive_loss(x, y, 14.0)
        kept = lpcm.contrastive_loss(x, y, 14.0, precision="fp32")
        double = lpcm.contrastive_loss(x.double(), y, 14.0)
    assert auto.dtype == torch.float32
    assert torch.equal(auto, low)
    assert torch.equal(kept, full)
    assert double.dtype == torch.float64


def test_features_of_two_dtypes(towers, differentiate, relative):
    """Under autocast one tower may end in bf16 and the other in fp32."""
    x, y = towers(30, 12)
    a, b = x.bfloat16().requires_grad_(), y.clone().requires_grad_()
    loss = lpcm.contrastive_loss(a, b, 9.0)
    loss.backward()
    truth = differentiate(
        lambda u, v: lpcm.contrastive_loss(u, v, 9.0, impl="reference"), a.detach(), b.detach()
    )
    assert a.grad.dtype == torch.bfloat16
    assert b.grad.dtype == torch.float32
    assert relative(b.grad.double(), truth[2]) < 2e-5  # fp32's promise
    assert relative(a.grad.double(), truth[1]) < 2.0**-8  # rounded to bf16 once


@pytest.mark.parametrize("similarity", ["dot", "sqeuclidean", "l1"])
def test_autocast_touches_neither_the_reference_nor_the_smoothing(similarity, towers):
    """The truth stays the truth, and precision 'fp32' is fp32 in every term of the loss."""
    x, y = (t + 0.2 for t in towers(33, 65))  # means that are not zero, or smoothing would show nothing

    def losses():
        smooth = lpcm.contrastive_loss(
            x, y, 20.0, similarity=similarity, label_smoothing=0.5, precision="fp32"
        )
        return smooth, lpcm.contrastive_loss(x, y, 20.0, similarity=similarity, impl="reference")

    plain = losses()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = losses()
    for a, b in zip(plain, lowered, strict=True):
        assert torch.equal(a, b)  # the same operations
