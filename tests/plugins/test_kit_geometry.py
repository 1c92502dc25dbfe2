"""Broken geometries are caught: a sound one with one fault each, and the check that names it; the others still pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lpcm.errors import UsageError
from lpcm.plugin.records import GeometryRecord, Param

from .faults import failed

pytestmark = pytest.mark.usefixtures("generators_put_back")


class SoundGeometry:
    """A box [0, 1]^d."""

    similarity, identifies = "l1", "permutation"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def sample_marginal(self, key: Any, n: int) -> np.ndarray:
        return key.generator().random((n, self.dim))

    def sample_conditional(self, key: Any, z: np.ndarray) -> np.ndarray:
        return self.project(z + key.generator().laplace(scale=0.05, size=z.shape))

    def project(self, z: np.ndarray) -> np.ndarray:
        return np.clip(z, 0, 1)

    def head(self, d_in: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(d_in, self.dim), torch.nn.Sigmoid())


class Leaves(SoundGeometry):
    def sample_conditional(self, key: Any, z: np.ndarray) -> np.ndarray:
        return z + key.generator().laplace(scale=0.05, size=z.shape)


class LooseHead(SoundGeometry):
    def head(self, d_in: int) -> torch.nn.Module:
        return torch.nn.Linear(d_in, self.dim)


class Uncoupled(SoundGeometry):
    def sample_conditional(self, key: Any, z: np.ndarray) -> np.ndarray:
        return 1 - z + 0 * key.generator().random(z.shape)


class KeyBlind(SoundGeometry):
    def sample_marginal(self, key: Any, n: int) -> np.ndarray:
        return np.random.default_rng(0).random((n, self.dim))


class Claims(SoundGeometry):
    identifies = "orthogonal"


class Root(torch.nn.Module):
    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(d_in, d_out, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).abs().clamp(max=1).sqrt()  # its slope at 0 is infinite


class SharpCorner(SoundGeometry):
    def head(self, d_in: int) -> torch.nn.Module:
        return Root(d_in, self.dim)


class Powerless(SoundGeometry):
    similarity = "lp"


class Cubic(SoundGeometry):
    similarity, p = "lp", 3.0


class EvenOnly(SoundGeometry):
    def __init__(self, dim: int) -> None:
        if dim % 2:
            raise UsageError(f"dim is {dim}: expected an even number")
        super().__init__(dim)


class TakesAnyLaw(SoundGeometry):
    def __init__(self, dim: int, *, conditional: str = "laplace:0.05") -> None:
        super().__init__(dim)


class TakesLaplaceOnly(SoundGeometry):
    def __init__(self, dim: int, *, conditional: str = "laplace:0.05") -> None:
        if not conditional.startswith("laplace:"):
            raise UsageError(f"conditional is {conditional!r}: expected laplace:B")
        super().__init__(dim)


GEOMETRY = GeometryRecord(name="sound", summary="s", loader="a:b", identifies="permutation")


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (SoundGeometry, set()),
        (Leaves, {"samples_lie_in_the_space"}),
        (LooseHead, {"head_lands_in_the_space"}),
        (Uncoupled, {"partners_are_nearer_than_strangers"}),
        (KeyBlind, {"same_key_same_samples"}),
        (Claims, {"record_tells_the_truth"}),
        (SharpCorner, {"gradient_is_finite_at_the_border"}),
        (Powerless, {"record_tells_the_truth"}),
        (Cubic, set()),
        (EvenOnly, set()),
    ],
)
def test_a_broken_geometry_is_caught(broken: type, caught: set[str]) -> None:
    assert failed(GEOMETRY, broken) == caught


@pytest.mark.parametrize(
    ("geometry", "caught"), [(TakesAnyLaw, {"unknown_laws_are_refused"}), (TakesLaplaceOnly, set())]
)
def test_a_geometry_that_takes_any_law_is_caught(geometry: type, caught: set[str]) -> None:
    record = replace(GEOMETRY, params=(Param(name="conditional", help="law", default="laplace:0.05"),))
    assert failed(record, geometry) == caught
