"""Nulls, floors, ceilings and resamples: what is kept of the codes, and what is broken."""

import numpy as np
import pytest

from lpcm.keys import Key
from lpcm.metrics.chance import halves, ideal, permuted, rotated, spread
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.r2 import R2
from lpcm.plugin.truth import FactorKind, Factors

from .conftest import K, N


def test_a_permutation_keeps_codes_and_factors_and_parts_them(states):
    found = permuted(states.perfect, Key.of(3))
    assert found.factors is states.perfect.factors
    assert np.array_equal(np.sort(found.codes, axis=0), np.sort(states.perfect.codes, axis=0))
    assert R2().measure(found).value < 0


def test_a_rotation_keeps_what_a_linear_rule_can_read(states):
    found = rotated(states.perfect, Key.of(3))
    assert np.allclose(np.square(found.codes).sum(1), np.square(states.perfect.standard).sum(1))
    # Components are correlated a little by chance, so that variances of 1 are others after the turn: the ridge sees it.
    assert R2().measure(found).value == pytest.approx(R2().measure(states.perfect).value, abs=1e-4)


def test_all_codes_of_the_same_samples_meet_the_same_draws(states):
    for one, other in zip(
        halves(states.perfect, Key.of(3), 3), halves(states.noise, Key.of(3), 3), strict=True
    ):
        assert np.array_equal(one.factors.values, other.factors.values)
    rows = np.arange(N, dtype=float)[:, None]
    numbered = [
        permuted(states.perfect.with_codes(rows + shift), Key.of(3)).codes - shift for shift in (0, 5)
    ]
    assert np.array_equal(*numbered)


def test_halves_have_no_row_twice_and_the_spread_of_a_bootstrap(states):
    rows = states.perfect.with_codes(np.arange(N, dtype=float)[:, None])
    drawn = [half.codes[:, 0] for half in halves(rows, Key.of(3), 400)]
    assert all(len(np.unique(half)) == N // 2 for half in drawn)
    values = Key.of(4).generator().standard_normal(N)
    means = np.array([values[half.astype(int)].mean() for half in drawn])
    # The standard deviation of 400 draws is known to 1 / sqrt(800), 4 %; three of those.
    assert means.std() == pytest.approx(values.std() / np.sqrt(N), rel=0.11)


def test_a_half_on_which_a_factor_is_constant_is_passed_over():
    values = np.zeros((41, 1))
    values[7] = 1
    codes = Key.of(0).generator().standard_normal((41, 2))
    found = Comparison.in_order(Factors(("rare",), (FactorKind.CATEGORICAL,), values), codes)
    kept = list(halves(found, Key.of(3), 200))
    # The one sample is in 20 of 41 places: 98 of 200 times, with standard deviation 7.
    assert 70 < len(kept) < 126
    assert all(half.factors.values.any() for half in kept)


def test_too_few_samples_have_no_halves():
    codes = Key.of(0).generator().standard_normal((39, 2))
    assert list(halves(Comparison.in_order(np.arange(39) % 2, codes), Key.of(0), 3)) == []


def test_draws_lie_around_the_value_and_within_the_range():
    draws = spread(0.5, np.array([0.1, 0.2, 0.3]), (0, 1))
    assert np.allclose(draws, [0.4, 0.5, 0.6])
    assert np.allclose(spread(1.0, np.array([0.1, 0.2, 0.3]), (0, 1)), [0.9, 1, 1])


def test_the_ideal_codes_are_the_factors_themselves(states):
    found = ideal(states.noise)
    assert np.array_equal(found["numbers"].codes, states.factors.values)
    assert found["indicators"].codes.shape == (N, 3 + 2 + 1 + 1 + 2)
    assert found["indicators"].k < K
