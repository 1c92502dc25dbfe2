"""The door to every disentanglement metric: what it refuses, and what it makes of a factor's kind."""

import numpy as np
import pytest

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.metrics.comparison import FACTOR_BINS, MIN_ROWS, Comparison, as_factors
from lpcm.plugin.truth import FactorKind, Factors

from .conftest import N, draw_factors


def drawn(n=33, k=3):
    return draw_factors(n, Key.of(0)), Key.of(1).generator().standard_normal((n, k))


def with_values(factors, values, kinds=None):
    return Factors(factors.names, factors.kinds if kinds is None else kinds, values)


def test_rows_are_put_into_an_order_of_their_own():
    factors, codes = drawn()
    order = Key.of(2).generator().permutation(33)
    one, other = Comparison.of(factors, codes), Comparison.of(factors.take(order), codes[order])
    assert one.digest == other.digest
    assert Comparison.in_order(factors, codes).digest != one.digest


def test_the_held_out_third_depends_on_the_number_of_rows_alone():
    factors, codes = drawn()
    one, other = Comparison.in_order(factors, codes), Comparison.in_order(factors, codes * 2 + 1)
    assert np.array_equal(one.held, other.held)
    assert len(one.held) == 11
    assert np.array_equal(np.sort(np.concatenate([one.fit, one.held])), np.arange(33))


def test_whole_numbers_are_categories_and_others_are_not():
    assert set(as_factors(np.arange(6)).kinds) == {FactorKind.CATEGORICAL}
    assert set(as_factors(np.ones((6, 2), bool)).kinds) == {FactorKind.CATEGORICAL}
    assert as_factors(np.zeros((6, 2))).kinds == (FactorKind.CONTINUOUS,) * 2


def test_targets_of_a_category_tell_its_values_apart(states):
    targets = states.perfect.targets(0)
    assert targets.shape == (N, 3)
    shape = states.factors.values[:, 0]
    for value in range(3):
        assert np.array_equal(targets[:, value] > 0, shape == value)


def test_targets_are_centred_and_those_of_an_angle_see_its_circle(states):
    for factor in range(states.perfect.f):
        assert np.abs(states.perfect.targets(factor).mean(0)).max() < 1e-12  # rounding of 601 terms
    turned = with_values(states.factors, states.factors.values + 2 * np.pi)
    again = Comparison.in_order(turned, states.perfect.codes).targets(4)
    assert np.allclose(again, states.perfect.targets(4), atol=1e-12)  # rounding of a turn


def test_levels_are_values_where_there_are_few_and_bins_where_there_are_many():
    factors, codes = drawn(257)
    found = Comparison.in_order(factors, codes)
    assert np.array_equal(found.levels(0), factors.values[:, 0])
    counts = np.bincount(found.levels(3))
    assert len(counts) == FACTOR_BINS
    assert counts.max() - counts.min() <= 1  # equally full
    angles = found.levels(4)
    assert np.array_equal(angles, np.floor(factors.values[:, 4] / (2 * np.pi) * FACTOR_BINS))
    few = with_values(factors, np.round(factors.values))
    assert set(Comparison.in_order(few, codes).levels(2)) == {0, 1}


def test_levels_of_an_angle_do_not_see_whole_turns():
    factors, codes = drawn(257)
    turned = factors.values.copy()
    turned[::2, 4] -= 2 * np.pi
    levels = Comparison.in_order(with_values(factors, turned), codes).levels(4)
    assert np.array_equal(levels, Comparison.in_order(factors, codes).levels(4))


def test_a_constant_component_is_not_active_and_becomes_zero():
    factors, codes = drawn()
    codes[:, 1] = 0.1
    found = Comparison.in_order(factors, codes)
    assert found.active.tolist() == [True, False, True]
    assert not found.standard[:, 1].any()


def test_codes_that_are_not_finite_are_counted():
    factors, codes = drawn()
    codes[3, 1] = np.nan
    codes[4, 2] = np.inf
    with pytest.raises(DataError, match="2 of 33 rows and 2 of 3 components"):
        Comparison.of(factors, codes)


def test_factors_that_are_not_finite_or_constant_are_named():
    factors, codes = drawn()
    values = factors.values.copy()
    values[5, 3] = np.nan
    with pytest.raises(DataError, match="not finite in 1 of 33 samples: factor 'depth'"):
        Comparison.of(with_values(factors, values), codes)
    values = factors.values.copy()
    values[:, 2] = 4
    values[:, 4] = np.where(np.arange(33) % 2, 1, 1 + 2 * np.pi)
    with pytest.raises(DataError, match="constant over all 33 samples: factor 'size', 'hue'"):
        Comparison.of(with_values(factors, values), codes)


@pytest.mark.parametrize("shape", [(32, 3), (33, 0), (33, 2, 2)])
def test_codes_that_do_not_match_are_refused(shape):
    with pytest.raises(DataError, match="expected \\(33, k\\)"):
        Comparison.of(drawn()[0], np.zeros(shape))


def test_factors_that_do_not_fit_together_are_refused():
    with pytest.raises(DataError, match="expected a column, a name and a kind each"):
        as_factors(Factors(("a", "b"), (FactorKind.ANGLE,), np.zeros((7, 2))))
    with pytest.raises(DataError, match="expected \\(n, f\\)"):
        as_factors(np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match="at least 1"):
        as_factors(np.zeros((7, 0)))


def test_too_few_samples_are_refused():
    factors, codes = drawn(MIN_ROWS - 1)
    with pytest.raises(DataError, match="at least 20"):
        Comparison.of(factors, codes)
    with pytest.raises(DataError, match="more samples than factors"):
        Comparison.of(Key.of(3).generator().standard_normal((25, 25)), np.ones((25, 2)))


def test_one_component_and_one_factor_may_be_vectors():
    found = Comparison.of(np.arange(21) % 2, np.arange(21.0))
    assert (found.n, found.k, found.f) == (21, 1, 1)
