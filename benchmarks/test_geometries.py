"""Pairs of latents, a million at d = 10, against rejection that draws all rows again until none is outside.

Run by itself: ``pytest benchmarks/test_geometries.py -s``. One thread; processor time, since other work on the machine
distorts the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from lpcm.geometries.ball import Ball
from lpcm.geometries.box import Box
from lpcm.geometries.space import Space
from lpcm.geometries.sphere import Sphere
from lpcm.geometries.unbounded import Unbounded
from lpcm.keys import Key

N, D = 1_000_000, 10


def free_numpy(space: Space, generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    law = space.conditional
    if law.exponent == 1:
        return generator.laplace(0, law.scale, shape)
    if law.exponent == 2:
        return generator.normal(0, law.scale, shape)
    size = generator.gamma(1 / law.exponent, 1, shape) ** (1 / law.exponent)
    return law.scale * size * (2 * generator.integers(0, 2, shape) - 1)


def cut_numpy(space: Space, key: Key) -> None:
    """Everything is drawn again, coordinates that were outside are replaced, until none is left."""
    generator = key.generator()
    z = space.sample_marginal(key, N)
    drawn = z + free_numpy(space, generator, z.shape)
    while (outside := np.abs(drawn - 0.5) > 0.5).any():
        again = z + free_numpy(space, generator, z.shape)
        drawn = np.where(outside, again, drawn)


def cut_torch(space: Space, key: Key) -> None:
    """The same in float32; for laws that torch has."""
    if space.conditional.exponent > 2:
        pytest.skip("torch has no generalised normal law")
    generator = key.torch_generator()
    z = torch.rand(N, D, generator=generator)

    def draw() -> torch.Tensor:
        if space.conditional.exponent == 2:
            return z + space.conditional.scale * torch.randn(N, D, generator=generator)
        level = torch.rand(N, D, generator=generator) - 0.5
        return z - space.conditional.scale * level.sign() * torch.log1p(-2 * level.abs().clamp(max=0.4999999))

    drawn = draw()
    while (outside := (drawn - 0.5).abs() > 0.5).any():
        drawn = torch.where(outside, draw(), drawn)


def ball_numpy(space: Space, key: Key) -> None:
    """Rows outside of the ball are replaced from a new draw of all rows, until none is left."""
    generator = key.generator()
    z = space.sample_marginal(key, N)
    drawn = z + free_numpy(space, generator, z.shape)
    while (outside := np.linalg.norm(drawn, axis=1) > 1).any():
        again = z + free_numpy(space, generator, z.shape)
        drawn[outside] = again[outside]


def sphere_numpy(space: Space, key: Key) -> None:
    """Wood's cosines by rounds of n until there are n of them; a direction across by Gram and Schmidt."""
    generator, kappa, m = key.generator(), space.conditional.kappa, D - 1
    z = generator.standard_normal((N, D))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    b = (np.sqrt(4 * kappa**2 + m**2) - 2 * kappa) / m
    x = (1 - b) / (1 + b)
    bound = kappa * x + m * np.log(1 - x**2)
    found: list[np.ndarray] = []
    while sum(map(len, found)) < N:
        beta = generator.beta(m / 2, m / 2, N)
        w = (1 - (1 + b) * beta) / (1 - (1 - b) * beta)
        found.append(w[kappa * w + m * np.log(1 - x * w) - bound >= np.log(1 - generator.random(N))])
    along = np.concatenate(found)[:N, None]
    across = generator.standard_normal((N, D))
    across -= (across * z).sum(1, keepdims=True) * z
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    _ = along * z + np.sqrt(1 - along**2) * across


def ours(space: Space, key: Key) -> None:
    space.sample_conditional(key, space.sample_marginal(key, N))


CASES: dict[str, tuple[Space, tuple[Callable[[Space, Key], None], ...]]] = {
    "sphere vmf:1": (Sphere(D), (sphere_numpy,)),
    "sphere vmf:10": (Sphere(D, conditional="vmf:10"), (sphere_numpy,)),
    "sphere laplace:0.05": (Sphere(D, conditional="laplace:0.05"), ()),
    "box laplace:0.05": (Box(D), (cut_numpy, cut_torch)),
    "box normal:0.05": (Box(D, conditional="normal:0.05"), (cut_numpy, cut_torch)),
    "box gennorm:0.1:3": (Box(D, conditional="gennorm:0.1:3"), (cut_numpy,)),
    "ball laplace:0.05": (Ball(D), (ball_numpy,)),
    "ball normal:0.05": (Ball(D, conditional="normal:0.05"), ()),
    "unbounded normal:0.05": (Unbounded(D), ()),
}


def seconds(way: Callable[[Space, Key], None], space: Space, rounds: int) -> float:
    spent = []
    for i in range(rounds):
        start = time.thread_time()
        way(space, Key.of(i))
        spent.append(time.thread_time() - start)
    return float(np.median(spent))


@pytest.mark.parametrize("name", CASES)
def test_a_million_pairs(name):
    space, baselines = CASES[name]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        own = seconds(ours, space, 3)
        print(f"\n{name:22} {own:.2f} s")
        for way in baselines:
            ratio = seconds(way, space, 1) / own
            print(f"{'':22} {ratio:.1f} times as fast as {way.__name__}")
            assert ratio > 1
    finally:
        torch.set_num_threads(threads)
