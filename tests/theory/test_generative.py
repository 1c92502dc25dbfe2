"""Pairs are what the model says: mixed by invertible maps of known condition, coupled, and tied as asked."""

import numpy as np
import pytest
from scipy import special

from lpcm.disentanglers.haar import haar
from lpcm.errors import DataError, UsageError
from lpcm.geometries.box import Box
from lpcm.geometries.sphere import Sphere
from lpcm.keys import Key
from lpcm.theory.generative import GenerativeModel, Mixing, tied

KEY = Key.of(0)
N = 4001
FIVE_SIGMA = 5 / np.sqrt(N)  # of a correlation of independent samples


def model(**settings):
    return GenerativeModel.make(KEY, Box(3), **settings)


@pytest.mark.parametrize("d", [1, 2, 7, 15])
@pytest.mark.parametrize("layers", [1, 3])
def test_every_layer_has_the_condition_that_was_asked_for(d, layers):
    mixing = Mixing.draw(KEY, d, layers=layers, condition=5.0)
    assert len(mixing.weights) == layers
    for weight in mixing.weights:
        # Rounding of a product of three matrices.
        assert np.linalg.cond(weight) == pytest.approx(5.0 if d > 1 else 1.0, rel=1e-9)


def test_a_mixing_is_undone_by_its_inverse():
    mixing = Mixing.draw(KEY, 7)
    z = KEY.generator().standard_normal((33, 7))
    # Three layers lose at most (3 / 0.2)^3 of 16 digits.
    np.testing.assert_allclose(mixing.invert(mixing(z)), z, atol=1e-11)


def test_a_mixing_that_loses_its_input_is_refused():
    turn = haar(3, KEY.generator())
    weight = (turn * [1.0, 1.0, 1e-9]) @ turn.T
    with pytest.raises(DataError, match="cannot be inverted"):
        Mixing((weight, weight)).check(KEY)


def test_one_layer_is_linear_and_three_are_not():
    z = KEY.generator().standard_normal((9, 4))
    for layers, is_linear in ((1, True), (3, False)):
        mixing = Mixing.draw(KEY, 4, layers=layers)
        assert np.allclose(mixing(-2 * z), -2 * mixing(z)) is is_linear


@pytest.mark.parametrize(
    "settings",
    [
        {"m": -1},
        {"condition": 0.5},
        {"condition": float("nan")},
        {"layers": 0},
        {"dependence": 1.0},
        {"misaligned": 1.5},
    ],
)
def test_impossible_models_are_refused(settings):
    with pytest.raises(UsageError):
        model(**settings)


def test_the_same_key_gives_the_same_pairs_and_another_others():
    one, again, other = (model().draw(key, 17) for key in (KEY, KEY, Key.of(1)))
    assert np.array_equal(one.x, again.x)
    assert np.array_equal(one.t, again.t)
    assert not np.array_equal(one.x, other.x)


def test_observations_come_from_the_latents_by_two_different_mixings():
    made = model(m=2)
    pairs = made.draw(KEY, 31)
    latents = np.concatenate([pairs.z_x, pairs.m_x], axis=1)
    # Observations are float32.
    np.testing.assert_allclose(made.image.invert(pairs.x.astype(np.float64)), latents, atol=1e-4)
    assert not np.allclose(made.image(latents), made.text(latents))


def test_latents_of_one_side_know_nothing_of_the_others_and_are_as_spread():
    pairs = model(m=2).draw(KEY, N)
    together = np.corrcoef(np.concatenate([pairs.z_x, pairs.z_t, pairs.m_x, pairs.m_t], axis=1), rowvar=False)
    assert np.abs(together[:6, 6:]).max() < FIVE_SIGMA
    assert np.abs(together[6:8, 8:]).max() < FIVE_SIGMA
    # Standard deviations of 4001 draws, and of the 4096 that the spread is measured on.
    assert pairs.m_x.std() == pytest.approx(pairs.z_x.std(), rel=0.05)


@pytest.mark.parametrize("kappa", [1.0, 10.0])
def test_the_signal_is_the_correlation_that_the_law_gives(kappa):
    space = Sphere(10, conditional=f"vmf:{kappa:g}")
    made = GenerativeModel.make(KEY, space)
    # E[z_t | z_x] = I_5(kappa) / I_4(kappa) z_x in ten dimensions.
    expected = special.ive(5, kappa) / special.ive(4, kappa)
    # Ten correlations of 4,096 draws each: five standard errors of their mean.
    assert made.signal == pytest.approx(expected, abs=5 / np.sqrt(10 * 4096))


def test_strangers_among_pairs_take_from_the_signal():
    space = Sphere(10, conditional="vmf:10")
    signals = [GenerativeModel.make(KEY, space, misaligned=share).signal for share in (0.0, 0.5, 1.0)]
    assert signals[1] == pytest.approx(
        signals[0] / 2, abs=0.04
    )  # five standard errors, and of the share of 4,096
    assert abs(signals[2]) < 5 / np.sqrt(10 * 4096)


def test_without_latents_of_one_side_there_are_none():
    pairs = model(m=0).draw(KEY, 5)
    assert pairs.x.shape == (5, 3)
    assert pairs.m_x.shape == (5, 0)


def test_tied_coordinates_keep_their_laws_and_have_the_correlation_of_the_copula():
    z = KEY.generator().uniform(size=(N, 3))
    found = tied(z, 0.6, KEY)
    assert np.array_equal(np.sort(found, axis=0), np.sort(z, axis=0))
    # Correlation of ranks of a normal copula: 6 / pi arcsin(rho / 2) (Kruskal 1958).
    expected = 6 / np.pi * np.arcsin(0.3)
    correlations = np.corrcoef(found, rowvar=False)[np.triu_indices(3, 1)]
    np.testing.assert_allclose(correlations, expected, atol=FIVE_SIGMA)


@pytest.mark.parametrize("geometry", [Box(3), Sphere(3)], ids=["box", "sphere"])
def test_dependent_latents_stay_in_their_space(geometry):
    z = GenerativeModel.make(KEY, geometry, dependence=0.9).draw(KEY, 101).z_x
    np.testing.assert_allclose(geometry.project(z), z, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_that_share_of_pairs_gets_the_partner_of_another(share):
    straight, mixed = (model(misaligned=s).draw(KEY, N) for s in (0.0, share))
    assert np.array_equal(straight.z_x, mixed.z_x)
    moved = (straight.z_t != mixed.z_t).any(axis=1).mean()
    assert moved == pytest.approx(share, abs=FIVE_SIGMA)
    assert np.array_equal(np.sort(straight.z_t, axis=0), np.sort(mixed.z_t, axis=0))
