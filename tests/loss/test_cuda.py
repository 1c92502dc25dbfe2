"""The claims of the other tests of the loss, on a GPU: run by ``make gpu``, skipped where there is none."""

import itertools
from functools import partial

import pytest
import torch
from torch.nn.functional import normalize

import lpcm
from lpcm.loss import cuda_request, operator
from lpcm.loss.cuda import workspace

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICE = torch.device("cuda")
# as in test_cuda_emulated.py
TOLERANCE = {"fp32": 2e-5, "bf16": 4e-2}


def to_gpu(*tensors):
    return tuple(t.to(DEVICE) for t in tensors)


@pytest.fixture
def device_of_everything():
    """Scalars that `differentiate` makes of numbers land on the GPU."""
    with torch.device(DEVICE):
        yield


@pytest.fixture(params=["fused", "hopper", "plain", "torch"])
def way(request, monkeypatch):
    """Every way that a GPU has. Where a problem has no fused or plain form, the best way takes its place."""
    from lpcm.loss import functional

    if request.param != "torch" and not cuda_request.usable(
        torch.device("cuda", torch.cuda.current_device())
    ):
        pytest.skip("this build or this GPU has none of our kernels")

    def statistics(inputs, problem, impl):
        if impl == "reference":
            return functional.reference.statistics(inputs, problem)
        fits = problem.similarity in ("dot", "sqeuclidean") or request.param in ("plain", "torch")
        return operator.statistics(inputs, problem, request.param if fits else "")

    monkeypatch.setattr(functional, "_statistics", statistics)
    return request.param


def forms(n, m):
    g = torch.Generator().manual_seed(n)
    repeated = torch.randint(0, m, (n,), generator=g).to(DEVICE)
    yield lpcm.contrastive_loss, {"labels": m - n}
    yield lpcm.contrastive_loss, {"labels": repeated, "label_smoothing": 0.1}
    yield lpcm.contrastive_loss, {"directions": "rows", "labels": repeated}
    yield lpcm.sigmoid_loss, {"labels": torch.randperm(m, generator=g)[:n].to(DEVICE)}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "shape", [(1, 3, 5), (7, 7, 1), (17, 40, 31), (130, 201, 65), (1025, 769, 129)], ids=str
)
def test_gradients_agree_with_the_reference(
    way, precision, shape, towers, differentiate, device_of_everything
):
    n, m, d = shape
    x, y = to_gpu(*towers_on_cpu(towers, n, d, m=m))
    weights = torch.rand(n, generator=torch.Generator(device="cpu").manual_seed(1), device="cpu").to(DEVICE)
    similarities = [("dot", 2.0), ("sqeuclidean", 2.0), ("l1", 1.0), ("lp", 1.5), ("lp", 3.0)]
    for (similarity, power), (loss, options) in itertools.product(similarities, forms_on_cpu(n, m)):

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


def towers_on_cpu(towers, *arguments, **options):
    """The same numbers as in the other tests: drawn on a processor whatever the default device is."""
    with torch.device("cpu"):
        return towers(*arguments, **options)


def forms_on_cpu(n, m):
    with torch.device("cpu"):
        return list(forms(n, m))


def eager(x, y, s):
    """open_clip's expression: two matrices of logits, two cross-entropies."""
    labels = torch.arange(len(x), device=x.device)
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(s * x @ y.T, labels) + cross_entropy(s * y @ x.T, labels)) / 2


@pytest.mark.parametrize("kind", ["random", "correlated", "close"])
@pytest.mark.parametrize("scale", [14.0, 100.0])
@pytest.mark.parametrize(("n", "d"), [(3, 17), (33, 65), (257, 513), (1000, 129), (2111, 1024), (127, 2048)])
def test_fp32_errs_no_more_than_torch(
    n, d, scale, kind, way, towers, differentiate, relative, device_of_everything
):
    x, y = to_gpu(*towers_on_cpu(towers, n, d, kind))
    truth = differentiate(partial(lpcm.contrastive_loss, impl="reference"), x, y, scale)
    ours = differentiate(lpcm.contrastive_loss, x, y, scale, dtype=torch.float32)
    theirs = differentiate(eager, x, y, scale, dtype=torch.float32)
    # Both round logits as large as the scale: 2^-24 of it each, a few of them meet in one exponential.
    floor = 8 * 2.0**-24 * scale
    for name, got, other, true in zip(("loss", "x", "y"), ours, theirs, truth, strict=False):
        assert relative(got, true) <= 2 * relative(other, true) + floor, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [14.0, 100.0])
@pytest.mark.parametrize(("n", "d"), [(3, 17), (33, 65), (257, 513), (2111, 1024), (127, 2048)])
def test_half_precision_errs_no_more_than_torch(
    n, d, scale, dtype, way, towers, differentiate, relative, device_of_everything
):
    x, y = (t.to(dtype).float() for t in to_gpu(*towers_on_cpu(towers, n, d)))
    truth = differentiate(partial(lpcm.contrastive_loss, impl="reference"), x, y, scale)
    ours = differentiate(lpcm.contrastive_loss, x, y, scale, dtype=dtype)
    theirs = differentiate(lambda a, b, s: eager(a, b, s.to(dtype)), x, y, scale, dtype=dtype)
    for got, other, true in zip(ours, theirs, truth, strict=True):
        # 2^-8: gradients are returned in 16 bits, whose rounding alone is up to 2^-9 of each element
        assert relative(got, true) <= relative(other, true) + 2.0**-8


def test_tf32_class_products_when_torch_says_so(towers, differentiate, relative, device_of_everything):
    """'high' allows the error of tf32, 2^-11 a feature; float16 products of scaled features have the same."""
    x, y = to_gpu(*towers_on_cpu(towers, 513, 257))
    truth = differentiate(partial(lpcm.contrastive_loss, impl="reference"), x, y, 14.0)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        ours = differentiate(lpcm.contrastive_loss, x, y, 14.0, dtype=torch.float32)
    finally:
        torch.set_float32_matmul_precision(before)
    for got, true in zip(ours, truth, strict=True):
        assert relative(got, true) < 2e-3


@pytest.mark.parametrize("target", [1e-3, 1e-6, 1e-12])
def test_converged_losses_keep_their_digits(target, way, differentiate, relative, device_of_everything):
    n, d = 33, 64
    x = torch.eye(n, d)
    scale = torch.log(torch.tensor((n - 1) / target, dtype=torch.float64)).float()
    ours = differentiate(lpcm.contrastive_loss, x, x, scale, dtype=torch.float32)
    truth = differentiate(partial(lpcm.contrastive_loss, impl="reference"), x, x, scale)
    for got, true in zip(ours, truth, strict=True):
        # fp32 logits of up to 31 round by 2^-20 at most, which is the relative error of exp
        assert relative(got, true) < 1e-5


@pytest.mark.parametrize("spread", [30.0, 300.0, 3000.0])
def test_features_of_any_size(spread, way, towers, differentiate, relative, device_of_everything):
    x, y = to_gpu(*towers_on_cpu(towers, 265, 9))
    x = x * torch.linspace(-1, 1, 265)[:, None] * spread
    y = y * torch.linspace(0.1, 1, 265)[:, None]
    truth = differentiate(partial(lpcm.contrastive_loss, impl="reference"), x, y, 10.0)
    ours = differentiate(lpcm.contrastive_loss, x, y, 10.0, dtype=torch.float32)
    for got, true in zip(ours, truth, strict=True):
        assert torch.isfinite(got).all()
        # logits of up to 10 * spread round by 2^-24 of that, and exp makes it a relative error
        assert relative(got, true) < 16 * 2.0**-24 * 10 * spread


@pytest.mark.parametrize("n", [2, 258, 2050])
def test_pairs_within_x(n, way, towers, differentiate, relative, device_of_everything):
    x, _ = to_gpu(*towers_on_cpu(towers, n, 33))
    for similarity in ("dot", "sqeuclidean", "l1"):
        loss = partial(lpcm.contrastive_loss, similarity=similarity)
        ours = differentiate(lambda x, s, loss=loss: loss(x, None, s), x, 9.0, dtype=torch.float32)
        truth = differentiate(lambda x, s, loss=loss: loss(x, None, s, impl="reference"), x, 9.0)
        for got, true in zip(ours, truth, strict=True):
            # two rows: each is the other's positive and nothing else is left, so all is zero
            assert relative(got, true) < TOLERANCE["fp32"] or (n == 2 and got.norm() < 1e-12), similarity


def leaves(n=2500, m=3000, d=200, dtype=torch.float32):
    g = torch.Generator().manual_seed(1)
    x, y = (normalize(torch.randn(rows, d, generator=g), dim=-1).to(DEVICE, dtype) for rows in (n, m))
    scale, bias = torch.tensor(14.0, device=DEVICE), torch.tensor(-1.0, device=DEVICE)
    return [t.requires_grad_() for t in (x, y, scale, bias)]


def step(tensors, **options):
    x, y, scale, bias = tensors
    loss = lpcm.contrastive_loss(x, y, scale, logit_bias=bias, **options)
    return [loss, *torch.autograd.grad(loss, tensors)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_same_bits_every_time(dtype, way):
    tensors = leaves(dtype=dtype)
    once = step(tensors)
    for _ in range(3):
        for a, b in zip(once, step(tensors), strict=True):
            assert torch.equal(a, b)


def test_nothing_waits_for_the_device(way):
    """Torch raises at every operation that would."""
    tensors = leaves()
    step(tensors)  # modules, handles and attributes of kernels are set up by the first call
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(tensors)
        step(tensors, similarity="sqeuclidean")
        lpcm.contrastive_loss(tensors[0], tensors[1], 14.0)  # a number, not a tensor
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_calls_are_captured_and_replayed_with_other_numbers(way):
    if way == "plain":
        pytest.skip("the fused way and torch's own cover it")
    tensors = leaves(500, 600, 64)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step(tensors)  # warm, as torch asks
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step(tensors)
    with torch.no_grad():
        tensors[0].copy_(tensors[0].roll(1, 0))
        tensors[2].fill_(50.0)
    graph.replay()
    for a, b in zip(captured, step(tensors), strict=True):
        # cuBLAS may take another algorithm where it has another workspace: fp32 sums in another order
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_another_stream_and_its_memory(way):
    """Work goes to the current stream, and buffers come from its pool."""
    tensors = leaves()
    once = step(tensors)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        again = step(tensors)
    torch.cuda.current_stream().wait_stream(stream)
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b)


def test_autocast_lowers_products_and_nothing_else(towers):
    x, y = to_gpu(*towers(300, 64))
    full = lpcm.contrastive_loss(x, y, 14.0)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cuda", dtype=dtype):
            auto = lpcm.contrastive_loss(x, y, 14.0)
            kept = lpcm.contrastive_loss(x, y, 14.0, precision="fp32")
            double = lpcm.contrastive_loss(x.double(), y, 14.0)
        assert auto.dtype == torch.float32
        assert not torch.equal(auto, full)
        assert torch.equal(kept, full)
        assert double.dtype == torch.float64


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"
)  # torch's check
@pytest.mark.parametrize("form", ["both", "within", "sigmoid"])
def test_opcheck(form, towers):
    x, y = (t.requires_grad_() for t in to_gpu(*towers(12, 5)))
    scale, bias = (torch.tensor(v, device=DEVICE, requires_grad=True) for v in (9.0, -1.0))
    labels = (torch.arange(12, device=DEVICE) + 6) % 12 if form == "within" else None
    arguments = (
        x, None if form == "within" else y, scale, bias, labels, 0, "sigmoid" if form == "sigmoid" else "softmax",
        "both" if form == "both" else "rows", "dot", 2.0, "auto", "",
    )  # fmt: skip
    torch.library.opcheck(operator.contrastive_statistics, arguments)


def test_any_workspace_gives_the_same_up_to_the_order_of_sums(relative):
    tensors = leaves(dtype=torch.bfloat16)
    once = step(tensors)
    for nbytes in (1 << 20, 1 << 24):
        with workspace(nbytes):
            again = step(tensors)
        assert torch.equal(once[0], again[0])
        for a, b in zip(once[1:], again[1:], strict=True):
            assert (
                relative(b.double(), a.double()) < 2.0**-9
            )  # returned in bf16; sums of a few pieces in fp32


def test_memory_is_linear():
    """Packed features, sums of gradients and the workspace; a matrix of 32,768 squared in fp32 would be 4 GiB."""
    n, d = 32768, 128
    tensors = leaves(n, n, d, torch.bfloat16)
    step(tensors)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with workspace(64 << 20):
        step(tensors)
    torch.cuda.synchronize()
    extra = torch.cuda.max_memory_allocated() - before
    assert (
        extra < (64 << 20) + (256 << 20) + 8 * n * d * 4
    )  # the workspace, partial sums, and a few times the features


def test_a_device_that_is_not_the_current_one():
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU")
    x, y, scale, _ = leaves(100, 120, 40)
    there = lpcm.contrastive_loss(*(t.detach().to("cuda:1") for t in (x, y, scale)))
    assert there.device == torch.device("cuda:1")
    assert there.item() == lpcm.contrastive_loss(x, y, scale).item()
