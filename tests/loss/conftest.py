"""What the tests of the loss share: towers, gradients, and the measure of error."""

import pytest
import torch
from torch.nn.functional import normalize

from lpcm import _core

LEVELS = [*_core.cpu()["available"], "emulated-amx"]


@pytest.fixture(autouse=True)
def _one_thread():
    """Small cases on one thread; the tests about threads set their own number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    """Every instruction set that this processor has, and the amx level on emulated tiles."""
    from lpcm.loss import functional, operator

    def statistics(inputs, problem, impl):
        return (
            functional.reference.statistics(inputs, problem)
            if impl == "reference"
            else operator.statistics(inputs, problem, request.param)
        )

    monkeypatch.setattr(functional, "_statistics", statistics)
    return request.param


@pytest.fixture(scope="session")
def towers():
    """(n, d) and (m, d) unit rows: 'random' ones, 'correlated' (cosine 0.7 of a pair), 'close' (0.995)."""

    def make(n, d, kind="random", seed=0, m=None):
        g = torch.Generator().manual_seed(seed * 7919 + n * 31 + d)
        x = torch.randn(n, d, generator=g)
        z = torch.randn(m or n, d, generator=g)
        if kind != "random":
            z = x + z * {"correlated": 1.0, "close": 0.1}[kind]
        return normalize(x, dim=-1), normalize(z, dim=-1)

    return make


@pytest.fixture(scope="session")
def differentiate():
    """loss(*leaves) and its gradients, as float64: features cast to `dtype`, scalars kept in float32 at least."""

    def run(loss, *tensors, dtype=torch.float64):
        leaves = []
        for t in tensors:
            t = torch.as_tensor(t).detach().clone()
            kind = dtype if t.dim() == 2 or dtype == torch.float64 else torch.float32
            leaves.append(t.to(kind).requires_grad_())
        value = loss(*leaves)
        value.sum().backward()
        return [value.detach().double(), *(t.grad.double() for t in leaves)]

    return run


@pytest.fixture(scope="session")
def relative():
    """Frobenius norm of the difference over that of the truth."""

    def measure(got, truth):
        return ((got - truth).norm() / truth.norm().clamp(min=1e-300)).item()

    return measure
