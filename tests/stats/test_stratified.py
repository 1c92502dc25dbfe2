"""Averages over strata: each counts alike, and is resampled within itself."""

import numpy as np
import pytest

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.stats.intervals import bootstrap
from lpcm.stats.stratified import stratified_draws

KEY = Key.of(0)


def coins(n, share, name):
    return (Key.of(1).fold(name).generator().random(n) < share).astype(float)


def test_strata_count_alike_whatever_their_sizes():
    draws = stratified_draws({"small": coins(31, 0.2, "a"), "large": coins(3001, 0.9, "b")}, KEY)
    middle = (coins(31, 0.2, "a").mean() + coins(3001, 0.9, "b").mean()) / 2
    # The mean of 2,000 draws is off by its standard error, at most 0.5 * 0.09 / sqrt(2000); five of them.
    assert draws.mean() == pytest.approx(middle, abs=0.005)


def test_one_stratum_is_the_plain_bootstrap():
    x = coins(257, 0.4, "a")
    draws = stratified_draws({"only": x}, KEY)
    interval = bootstrap(x, KEY.fold("only"))
    assert np.quantile(draws, [0.025, 0.975]).tolist() == [interval.low, interval.high]


def test_the_spread_is_that_of_independent_strata():
    a, b = coins(257, 0.3, "a"), coins(129, 0.6, "b")
    expected = np.sqrt(a.var() / 257 + b.var() / 129) / 2
    # A standard deviation of 2,000 draws has a relative error of 1 / sqrt(4000) = 1.6 %; four of them.
    assert stratified_draws({"a": a, "b": b}, KEY).std() == pytest.approx(expected, rel=0.065)


def test_the_order_of_the_strata_does_not_matter():
    a, b = coins(33, 0.3, "a"), coins(17, 0.6, "b")
    assert np.allclose(
        stratified_draws({"a": a, "b": b}, KEY), stratified_draws({"b": b, "a": a}, KEY), rtol=0, atol=1e-15
    )  # a sum of two, in either order


def test_nothing_to_average_is_refused():
    with pytest.raises(DataError, match="there is no stratum"):
        stratified_draws({}, KEY)
    with pytest.raises(DataError, match="not finite"):
        stratified_draws({"a": np.array([np.nan, 1.0])}, KEY)
