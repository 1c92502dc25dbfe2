"""A paired difference is judged on the samples that both answered."""

import numpy as np
import pytest

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.stats.intervals import bootstrap
from lpcm.stats.paired import paired_bootstrap


def outcomes(n, seed=0, share=0.7):
    return (Key.of(seed).generator().random(n) < share).astype(float)


def test_it_is_the_bootstrap_of_the_differences():
    a, b = outcomes(257, 0), outcomes(257, 1)
    difference = paired_bootstrap(a, b, Key.of(2))
    interval = bootstrap(a - b, Key.of(2))
    assert difference.value == pytest.approx(a.mean() - b.mean(), abs=1e-12)
    assert (difference.low, difference.high) == (interval.low, interval.high)


def test_equal_methods_do_not_differ():
    a = outcomes(33)
    difference = paired_bootstrap(a, a, Key.of(0))
    assert (difference.value, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)
    assert not difference.excludes_zero


def test_a_small_but_steady_gain_is_seen_where_unpaired_intervals_overlap():
    a = outcomes(801)
    b = a.copy()
    b[np.flatnonzero(a)[:17]] = 0  # the same answers, but for 17 that are lost
    difference = paired_bootstrap(a, b, Key.of(0))
    assert difference.excludes_zero
    assert difference.p_value < 0.01
    assert bootstrap(b, Key.of(1)).high > bootstrap(a, Key.of(1)).low


def test_turning_the_two_round_turns_the_difference_round():
    a, b = outcomes(129, 0, 0.8), outcomes(129, 1, 0.6)
    there, back = paired_bootstrap(a, b, Key.of(0)), paired_bootstrap(b, a, Key.of(0))
    assert back.value == -there.value
    # Other draws, and 2,000 of them: ends are off by about 0.05 standard errors of 0.055.
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=0.015)


def test_false_alarms_are_as_rare_as_promised():
    alarms = [
        paired_bootstrap(
            outcomes(129, 2 * i), outcomes(129, 2 * i + 1), Key.of(i), resamples=400
        ).excludes_zero
        for i in range(400)
    ]
    assert np.mean(alarms) == pytest.approx(
        0.05, abs=0.04
    )  # 400 coins of 0.05: 0.011, and a bootstrap's own bias


def test_methods_may_have_different_numbers_of_seeds():
    a, b = np.stack([outcomes(31, i) for i in range(3)]), outcomes(31, 9)
    assert paired_bootstrap(a, b, Key.of(0)).value == pytest.approx(a.mean() - b.mean(), abs=1e-12)


def test_other_samples_are_refused():
    with pytest.raises(DataError, match="31 and 33 samples"):
        paired_bootstrap(outcomes(31), outcomes(33), Key.of(0))
