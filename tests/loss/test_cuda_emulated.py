"""The GPU's kernels and the code around them, run on a processor: the emulated machine, and plain torch in chunks.

What a GPU does with the same instructions is tested by test_cuda.py where there is one.
"""

import itertools
from functools import partial

import pytest
import torch
from torch.nn.functional import normalize

import lpcm
from lpcm.loss import cuda_fused, cuda_plain, cuda_products, cuda_request, operator, reference
from lpcm.loss.cuda import ON_CPU
from lpcm.loss.problem import Inputs, Problem

LEVELS = list(ON_CPU)
# Relative Frobenius errors of gradients. fp32: the promise. bf16: features round by 2^-9, logits of up to 14 by about
# 2^-6 then, and exp makes that relative.
TOLERANCE = {"fp32": 2e-5, "bf16": 4e-2}


@pytest.fixture(params=LEVELS)
def on(request, monkeypatch):
    """Every loss of the test takes this level."""
    use(monkeypatch, request.param)
    return request.param


def use(monkeypatch, level):
    from lpcm.loss import functional

    def statistics(inputs, problem, impl):
        if impl == "reference":
            return reference.statistics(inputs, problem)
        return operator.statistics(inputs, problem, level)

    monkeypatch.setattr(functional, "_statistics", statistics)


@pytest.fixture
def emulated(monkeypatch):
    """The emulated machine's module; how it runs is put back afterwards."""
    use(monkeypatch, "emulated-cuda")
    kernels = cuda_request.kernels("_cuda_emulated")
    assert kernels is not None, "every build has it"
    yield kernels
    kernels.emulate_as(order="ascending", copies="late", blocks=3, stages=3)


def forms(n, m):
    g = torch.Generator().manual_seed(n)
    repeated = torch.randint(0, m, (n,), generator=g)
    yield lpcm.contrastive_loss, {"labels": m - n}
    yield lpcm.contrastive_loss, {"labels": repeated, "label_smoothing": 0.1}
    yield lpcm.contrastive_loss, {"directions": "rows", "labels": repeated}
    yield lpcm.sigmoid_loss, {"labels": torch.randperm(m, generator=g)[:n]}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("shape", [(1, 3, 5), (7, 7, 1), (17, 40, 31), (130, 201, 65)], ids=str)
def test_gradients_agree_with_the_reference(on, precision, shape, towers, differentiate):
    n, m, d = shape
    x, y = towers(n, d, m=m)
    weights = torch.rand(n, generator=torch.Generator().manual_seed(1))
    similarities = [("dot", 2.0), ("sqeuclidean", 2.0), ("l1", 1.0), ("lp", 1.5)]
    for (similarity, power), (loss, options) in itertools.product(similarities, forms(n, m)):

        def run(x, y, s, b, loss=loss, options=options, similarity=similarity, power=power, **more):
            return loss(
                x, y, s, logit_bias=b, similarity=similarity, power=power, weights=weights, reduction="sum",
                **options, **more,
            )  # fmt: skip

        ours = differentiate(partial(run, precision=precision), x, y, 14.0, -3.0, dtype=torch.float32)
        truth = differentiate(partial(run, impl="reference"), x, y, 14.0, -3.0)
        terms = 14.0 * weights.norm().item()  # of which a derivative is a sum, of both signs
        for got, true in zip(ours, truth, strict=True):
            size = max(true.norm().item(), terms)
            assert (got - true).norm() <= TOLERANCE[precision] * size, (similarity, loss, options)


@pytest.mark.parametrize("n", [2, 40, 258])
def test_pairs_within_x(on, n, towers, differentiate, relative):
    x, _ = towers(n, 33)
    for similarity in ("dot", "sqeuclidean", "l1"):
        loss = partial(lpcm.contrastive_loss, similarity=similarity)
        ours = differentiate(lambda x, s, loss=loss: loss(x, None, s), x, 9.0, dtype=torch.float32)
        truth = differentiate(lambda x, s, loss=loss: loss(x, None, s, impl="reference"), x, 9.0)
        for got, true in zip(ours, truth, strict=True):
            # two rows: each is the other's positive and nothing else is left, so all is zero
            assert relative(got, true) < TOLERANCE["fp32"] or (n == 2 and got.norm() < 1e-12), similarity


def test_half_precision_features_keep_what_they_hold(on, towers, differentiate, relative):
    """float16 products of float16 features are exact; only the weights of the gradient are rounded, by 2^-12 each."""
    x, y = (t.half().float() for t in towers(66, 40, m=130))
    truth = differentiate(partial(lpcm.contrastive_loss, labels=3, impl="reference"), x, y, 14.0)
    a, b = x.half().requires_grad_(), y.half().requires_grad_()
    loss = lpcm.contrastive_loss(a, b, 14.0, labels=3)
    loss.backward()
    assert loss.item() == pytest.approx(truth[0].item(), rel=1e-6)  # fp32 logits of up to 14
    for got, true in zip((a.grad, b.grad), truth[1:], strict=False):
        assert got.dtype == torch.float16
        assert relative(got.double(), true) < 2.0**-10  # those weights, and gradients returned in float16


@pytest.mark.parametrize("target", [1e-3, 1e-6, 1e-12])
def test_converged_losses_keep_their_digits(target, on, differentiate, relative):
    """Orthonormal pairs: every row has loss log(1 + (n - 1) exp(-scale)), down to 1e-12 where torch's fp32 gives 0."""
    n, d = 33, 64
    x = torch.eye(n, d)
    scale = torch.log(torch.tensor((n - 1) / target, dtype=torch.float64)).float()
    ours = differentiate(lpcm.contrastive_loss, x, x, scale, dtype=torch.float32)
    truth = differentiate(partial(lpcm.contrastive_loss, impl="reference"), x, x, scale)
    for got, true in zip(ours, truth, strict=True):
        # fp32 logits of up to 31 round by 2^-20 at most, which is the relative error of exp
        assert relative(got, true) < 1e-5


@pytest.mark.parametrize("spread", [30.0, 300.0, 3000.0])
def test_features_of_any_size(spread, on, towers, differentiate, relative):
    """Logits beyond any window make the sums be taken with each row's and column's own maximum."""
    x, y = towers(65, 9)
    x = x * torch.linspace(-1, 1, 65)[:, None] * spread
    y = y * torch.linspace(0.1, 1, 65)[:, None]
    truth = differentiate(partial(lpcm.contrastive_loss, impl="reference"), x, y, 10.0)
    ours = differentiate(lpcm.contrastive_loss, x, y, 10.0, dtype=torch.float32)
    for got, true in zip(ours, truth, strict=True):
        assert torch.isfinite(got).all()
        # logits of up to 10 * spread round by 2^-24 of that, and exp makes it a relative error
        assert relative(got, true) < 16 * 2.0**-24 * 10 * spread


@pytest.mark.parametrize("factor", [1e-20, 1e-3, 1e4, 1e18])
def test_float16_parts_are_scaled_to_their_range(factor, emulated, towers, differentiate, relative):
    """The parts of fp32 features are float16, whose own range is 6e-8 to 65504."""
    x, y = towers(30, 20)
    ours = differentiate(lpcm.contrastive_loss, x * factor, y, 10.0 / factor, dtype=torch.float32)
    truth = differentiate(partial(lpcm.contrastive_loss, impl="reference"), x * factor, y, 10.0 / factor)
    for got, true in zip(ours, truth, strict=True):
        assert relative(got, true) < TOLERANCE["fp32"]


def bits(n=150, m=290, d=70, **options):
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(n, d, generator=g).requires_grad_(), torch.randn(m, d, generator=g).requires_grad_()
    s, b = torch.tensor(1.5, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
    within = options.pop("within", False)
    loss = lpcm.contrastive_loss(
        x, None if within else y, s, logit_bias=b, labels=None if within else torch.arange(n), reduction="none",
        **options,
    )  # fmt: skip
    loss.square().sum().backward()
    return [loss.detach(), *(t.grad for t in (x, y, s, b) if t.grad is not None)]


@pytest.mark.parametrize(
    ("level", "options"),
    [
        ("emulated-cuda", {}),
        ("emulated-cuda", {"precision": "bf16"}),
        ("emulated-cuda", {"within": True}),
        ("emulated-cuda", {"similarity": "sqeuclidean"}),
        ("emulated-cuda-hopper", {"precision": "bf16"}),
    ],
    ids=str,
)
def test_how_blocks_and_threads_follow_each_other_does_not_show(level, options, emulated, monkeypatch):
    """Nor does the number of blocks, which is the number of multiprocessors of a GPU; nor stages of the pipeline."""
    use(monkeypatch, level)
    once = bits(**options)
    for order, copies, blocks, stages in (
        ("descending", "early", 1, 2),
        ("mixed", "late", 7, 3),
        ("mixed", "early", 2, 2),
    ):
        emulated.emulate_as(order=order, copies=copies, blocks=blocks, stages=stages)
        for a, b in zip(once, bits(**options), strict=True):
            assert torch.equal(a, b), (order, copies, blocks, stages)


@pytest.mark.parametrize(
    "options", [{}, {"precision": "bf16"}, {"within": True}, {"similarity": "sqeuclidean"}], ids=str
)
def test_any_workspace_gives_the_same_up_to_the_order_of_sums(options, emulated, monkeypatch, relative):
    once = bits(**options)
    monkeypatch.setattr(cuda_fused, "_PARTIALS", 1)  # the forward pass in bands of one tile
    for nbytes in (1, 3 * 128 * 128 * 4, 1 << 30):
        with cuda_fused.workspace(nbytes):
            again = bits(**options)
        assert torch.equal(once[0], again[0])  # sums over tiles are folded in double, in the same order
        for a, b in zip(once[1:], again[1:], strict=True):
            assert relative(b.double(), a.double()) < 1e-6  # fp32 sums of a few pieces


def test_products_of_two_parts_are_cut_into_slices(monkeypatch):
    """The sum of a long product is handed over to ordinary fp32 on the way; here after three terms."""
    monkeypatch.setattr(cuda_products, "EXACT_DEPTH", 3)
    g = torch.Generator().manual_seed(2)
    a, b = torch.randn(5, 7, generator=g), torch.randn(7, 4, generator=g)
    parts = [torch.stack([t.half(), (t - t.half().float()).half()]) for t in (a, b)]
    out = torch.full((5, 4), torch.nan)
    cuda_products.multiply_parts(out, *parts, add=False)
    torch.testing.assert_close(
        out, a @ b, rtol=0, atol=7 * 9 * 2.0**-21
    )  # dropped: low times low, of |a|, |b| < 3
    cuda_products.multiply_parts(out, *parts, add=True)
    torch.testing.assert_close(out, 2 * (a @ b), rtol=0, atol=2 * 7 * 9 * 2.0**-21)


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_frozen_inputs_get_no_gradient(on, wanted, towers):
    x, y = towers(40, 8)
    leaves = [t.clone().requires_grad_(w) for t, w in zip((x, y, torch.tensor(9.0)), wanted, strict=True)]
    lpcm.contrastive_loss(*leaves).backward()
    assert [t.grad is not None for t in leaves] == list(wanted)
    everything = [t.detach().clone().requires_grad_() for t in leaves]
    lpcm.contrastive_loss(*everything).backward()
    for some, all_ in zip(leaves, everything, strict=True):
        assert some.grad is None or torch.equal(some.grad, all_.grad)


def test_a_frozen_tower_costs_no_product(emulated, towers, monkeypatch):
    from lpcm.loss import cuda_products

    shapes = []
    plain = cuda_products.multiply
    monkeypatch.setattr(
        cuda_products,
        "multiply",
        lambda out, a, b, *, add: (shapes.append((*out.shape,)), plain(out, a, b, add=add)),
    )
    x, y = towers(20, 8, m=33)
    lpcm.contrastive_loss(x, y.requires_grad_(), 9.0, precision="bf16").backward()
    assert shapes == [(33, 64)]


@pytest.mark.parametrize("layout", ["transposed", "strided", "expanded", "unaligned"])
def test_any_strides(on, layout, towers):
    x, y = towers(24, 10)
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
    # torch's own products may choose another order for other strides; sums of ten terms
    torch.testing.assert_close(first, second, rtol=1e-6, atol=0)
    torch.testing.assert_close(a.grad, c.grad, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(b.grad, d.grad, rtol=1e-5, atol=1e-8)


def test_a_nan_stays_where_it_belongs(on, towers):
    x, y = towers(40, 8)
    y[3, 2] = torch.nan
    x.requires_grad_()
    loss, lse = lpcm.contrastive_loss(x, y, 9.0, return_lse=True, reduction="none")
    assert lse.rows.isnan().all()  # every row meets column 3
    assert lse.columns.isnan().nonzero().flatten().tolist() == [3]
    assert loss.isnan().all()


def test_labels_outside_the_matrix_are_not_followed(emulated, towers):
    """On a GPU nobody can raise without waiting for it: the positive is a NaN."""
    x, y = towers(5, 4)
    labels = torch.tensor([0, 1, -7, 10**12, 4])
    problem = Problem("softmax", "rows", precision="fp32")
    rows, _, positives = operator.statistics(
        Inputs(x, y, torch.tensor(9.0), None, labels), problem, "emulated-cuda"
    )
    assert positives.isnan().tolist() == [False, False, True, True, False]
    assert rows.isfinite().all()


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"
)  # torch's check
@pytest.mark.parametrize("form", ["both", "within", "sigmoid"])
def test_opcheck(form, on, towers):
    x, y = (t.requires_grad_() for t in towers(12, 5))
    scale, bias = torch.tensor(9.0, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
    labels = (torch.arange(12) + 6) % 12 if form == "within" else None
    arguments = (
        x, None if form == "within" else y, scale, bias, labels, 0, "sigmoid" if form == "sigmoid" else "softmax",
        "both" if form == "both" else "rows", "dot", 2.0, "auto", on,
    )  # fmt: skip
    torch.library.opcheck(operator.contrastive_statistics, arguments)


def test_chunks_are_whole_tiles_within_the_workspace():
    for n, m, planes, nbytes in itertools.product(
        (1, 129, 5000, 65536), (1, 200, 70000), (1, 2), (1, 1 << 20, 1 << 29)
    ):
        rows, columns = cuda_fused.chunk_shape(n, m, planes, nbytes)
        assert rows % 128 == 0
        assert columns % 128 == 0
        assert rows * columns * 2 * planes <= max(nbytes, 128 * 128 * 2 * planes)
        assert rows < n + 128
        assert columns < m + 128
    assert cuda_fused.chunk_shape(65536, 65536, 1, 512 << 20) == (16384, 16384)
    assert cuda_fused.chunk_shape(4096, 4096, 1, 512 << 20) == (4096, 4096)


@pytest.mark.parametrize("nbytes", [0, -1, 1.5, True, "much"])
def test_a_workspace_is_a_positive_number_of_bytes(nbytes):
    with pytest.raises(ValueError, match="expected a positive number of bytes"), cuda_fused.workspace(nbytes):
        pass


def test_what_auto_means_on_a_gpu():
    full, half, brain, double = (
        torch.zeros(1, 1, dtype=t) for t in (torch.float32, torch.float16, torch.bfloat16, torch.float64)
    )
    assert cuda_request.arithmetic("auto", brain, brain) == "bf16"
    assert cuda_request.arithmetic("auto", half, None) == "fp16"
    assert cuda_request.arithmetic("auto", double, full) == "float64"
    assert cuda_request.arithmetic("bf16", full, full) == "bf16"
    assert cuda_request.arithmetic("fp32", half, half) == "fp32"
    before = torch.get_float32_matmul_precision()
    try:
        for said, meant in (("highest", "fp32"), ("high", "fp16"), ("medium", "bf16")):
            torch.set_float32_matmul_precision(said)
            assert cuda_request.arithmetic("auto", full, half) == meant
            assert cuda_request.arithmetic("fp32", full, full) == "fp32"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.fixture
def ask(monkeypatch):
    """`way` on a GPU that is imagined: what it answers does not depend on the one that runs this."""

    def way(level="", here=True, **fields):
        monkeypatch.setattr(cuda_request, "usable", lambda device: here)
        monkeypatch.setattr(cuda_request, "_is_hopper", lambda device: False)
        zeros = torch.zeros(1, 1)
        given = {"similarity": "dot", "arithmetic": "bf16", **fields}
        r = cuda_request.Request(
            zeros,
            zeros,
            zeros,
            None,
            None,
            0,
            "softmax",
            "both",
            given["similarity"],
            1.0,
            given["arithmetic"],
        )
        return cuda_request.way(r, level)

    return way


def test_who_takes_what(ask):
    assert ask() == "fused"
    assert ask(similarity="sqeuclidean", arithmetic="fp32") == "fused"
    assert ask(similarity="l1", arithmetic="fp32") == "plain"
    assert ask(arithmetic="float64") == "torch"
    assert ask(here=False) == "torch"
    assert ask("plain") == "plain"
    assert ask("torch") == "torch"


@pytest.mark.parametrize(
    ("level", "fields", "message"),
    [
        ("fastest", {}, "expected '' or one of fused, hopper, plain, torch"),
        ("fused", {"similarity": "l1"}, "expected similarity 'dot' or 'sqeuclidean'"),
        ("fused", {"arithmetic": "float64"}, "not float64"),
        ("plain", {"arithmetic": "float64"}, "no float64 kernels"),
        ("fused", {"here": False}, "expected '' or 'torch'"),
        ("hopper", {}, "compute capability is not 9.0; expected '' or 'fused'"),
    ],
)
def test_ways_that_are_not_there_are_named(ask, level, fields, message):
    with pytest.raises(ValueError, match=message):
        ask(level, **fields)


def test_the_module_loads_where_there_is_no_gpu():
    """It links nothing of CUDA that a machine without a driver lacks. Builds without CUDA have no such module."""
    from lpcm import _core

    built = _core.build()["cuda_architectures"] is not None
    assert (cuda_request.kernels() is not None) == built


def test_chunks_of_the_plain_path_do_not_show(monkeypatch, on, relative):
    once = bits(n=70, m=130, d=9)
    monkeypatch.setattr(cuda_plain, "_CHUNK_BYTES", 4 * 130 * 7)
    # but for the bias, whose derivative is zero: its rounding errors are all that there is
    for a, b in zip(once[:-1], bits(n=70, m=130, d=9)[:-1], strict=True):
        assert relative(b.double(), a.double()) < 1e-5  # fp32 sums of other pieces


def test_the_scale_is_read_when_the_kernels_run(emulated, towers):
    """It stays on the device, so that a captured graph can be replayed with another value."""
    x, y = (normalize(t, dim=-1) for t in towers(9, 4))
    scale = torch.tensor(2.0)
    first = lpcm.contrastive_loss(x, y, scale).item()
    scale.fill_(20.0)
    assert lpcm.contrastive_loss(x, y, scale).item() != first
