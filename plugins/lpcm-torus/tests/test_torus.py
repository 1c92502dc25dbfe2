"""The torus' samples follow their densities, its head lands on it, and lpcm finds it where geometries are found."""

from __future__ import annotations

import doctest
from importlib import import_module
from importlib.metadata import distribution

import numpy as np
import pytest
import torch
from lpcm_torus.torus import Torus
from scipy import stats
from scipy.special import ive

import lpcm
from lpcm.errors import DataError, UsageError
from lpcm.geometries.product import Product
from lpcm.keys import Key

N = 4001
KOLMOGOROV = 1.95 / np.sqrt(N)  # a true sample is further off once in a thousand keys; these keys are fixed


def angles(z: np.ndarray) -> np.ndarray:
    return np.arctan2(z[:, 1::2], z[:, ::2])


def test_the_distribution_registers_its_plugin_in_the_group_of_lpcm() -> None:
    points = [point for point in distribution("lpcm-torus").entry_points if point.group == "lpcm"]
    assert [(point.name, point.value) for point in points] == [("torus", "lpcm_torus.plugin")]


def test_examples_run() -> None:
    for name in ("lpcm_torus.torus", "lpcm_torus.laws"):
        assert doctest.testmod(import_module(name)).failed == 0


@pytest.mark.parametrize("dim", [2, 6])
def test_the_marginal_is_uniform(dim: int) -> None:
    drawn = angles(Torus(dim).sample_marginal(Key.of(1), N))
    law = stats.uniform(-np.pi, 2 * np.pi)
    assert max(stats.kstest(drawn[:, i], law.cdf).statistic for i in range(dim // 2)) < KOLMOGOROV


def test_a_von_mises_marginal_is_around_angle_zero() -> None:
    drawn = angles(Torus(4, marginal="vonmises:3").sample_marginal(Key.of(2), N))
    assert stats.kstest(drawn[:, 1], stats.vonmises(3).cdf).statistic < KOLMOGOROV


@pytest.mark.parametrize("kappa", [0.0, 0.3, 5.0, 1e4])
def test_partners_are_von_mises_on_each_circle(kappa: float) -> None:
    torus = Torus(6, conditional=f"vonmises:{kappa}")
    z = torus.sample_marginal(Key.of(3), N)
    partner = torus.sample_conditional(Key.of(4), z)
    turn = np.angle(np.exp(1j * (angles(partner) - angles(z))))
    law = stats.vonmises(kappa) if kappa else stats.uniform(-np.pi, 2 * np.pi)
    assert max(stats.kstest(turn[:, i], law.cdf).statistic for i in range(3)) < KOLMOGOROV
    # The mean cosine of the law: Mardia and Jupp 2000, section 3.5.4; within four standard errors.
    cosines = np.cos(turn)
    assert abs(cosines.mean() - ive(1, kappa) / ive(0, kappa)) < 4 * cosines.std() / np.sqrt(cosines.size)


def test_circles_turn_independently() -> None:
    torus = Torus(6)
    z = torus.sample_marginal(Key.of(5), N)
    turn = np.angle(np.exp(1j * (angles(torus.sample_conditional(Key.of(6), z)) - angles(z))))
    off_diagonal = np.corrcoef(turn.T)[np.triu_indices(3, 1)]
    # A correlation of N independent pairs has standard deviation 1 / sqrt(N).
    assert np.abs(off_diagonal).max() < 4 / np.sqrt(N)


def test_the_loss_is_least_at_the_matched_scale() -> None:
    torus = Torus(6, conditional="vonmises:5")
    z = torus.sample_marginal(Key.of(7), 2049)
    x, y = torch.from_numpy(z), torch.from_numpy(torus.sample_conditional(Key.of(8), z))
    at, below, above = (
        lpcm.contrastive_loss(x, y, scale * torus.matched_scale).item() for scale in (1, 0.8, 1.25)
    )
    # Over keys these differences are 0.04 with a standard deviation of 0.007.
    assert at < below - 0.01
    assert at < above - 0.01


def test_the_head_lands_on_the_torus_and_draws_nothing() -> None:
    before = torch.get_rng_state()
    head = Torus(6).head(17)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(head.linear.weight, Torus(6).head(17).linear.weight)
    x = torch.from_numpy(Key.of(9).generator().standard_normal((31, 17))).float()
    norms = head(x).unflatten(-1, (-1, 2)).norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones(31, 3))


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_projecting_divides_pairs_by_their_norms_at_any_size(size: float) -> None:
    z = Torus(4).project(np.array([[3.0, -4.0, 0.0, 0.0]]) * size)
    np.testing.assert_allclose(z, [[0.6, -0.8, 1, 0]], atol=1e-15)


def test_a_product_takes_it_like_a_built_in_one() -> None:
    space = Product(7, factors="torus:4+sphere:3", conditional="vonmises:5+vmf:5")
    assert (space.similarity, space.identifies, space.matched_scale) == ("dot", "orthogonal", 5.0)
    z = space.sample_marginal(Key.of(0), 17)
    np.testing.assert_allclose(np.square(space.sample_conditional(Key.of(1), z)).sum(1), 3)


def test_what_no_theorem_covers_identifies_nothing() -> None:
    assert Torus(4, conditional="vonmises:0").identifies == "nothing"
    assert Torus(4, marginal="vonmises:1").identifies == "nothing"
    assert Torus(4, marginal="uniform").identifies == "orthogonal"


@pytest.mark.parametrize("dim", [-2, 0, 1, 5])
def test_odd_widths_are_refused(dim: int) -> None:
    with pytest.raises(UsageError, match="expected an even dim"):
        Torus(dim)


@pytest.mark.parametrize(
    "law", ["vmf:5", "vonmises", "vonmises:-1", "vonmises:inf", "vonmises:nan", "laplace:1"]
)
def test_laws_that_a_torus_does_not_have_are_refused(law: str) -> None:
    with pytest.raises(UsageError, match="expected uniform, or vonmises"):
        Torus(4, conditional=law)


def test_points_off_the_torus_are_refused() -> None:
    torus = Torus(4)
    with pytest.raises(DataError, match="1 of 2 points are not on the torus"):
        torus.sample_conditional(Key.of(0), np.array([[1.0, 0, 0, 1], [1, 0, 1, 1]]))
    with pytest.raises(DataError, match=r"shape \(2, 3\): expected \(n, 4\)"):
        torus.project(np.ones((2, 3)))
    with pytest.raises(DataError, match="NaN"):
        torus.project(np.full((1, 4), np.nan))
