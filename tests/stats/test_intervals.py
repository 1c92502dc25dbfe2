"""Intervals equal scipy's, cover what they promise, and are not made up from a single value."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.stats.intervals import Method, bootstrap, per_sample, resampled_means, student_t, wilson


@pytest.mark.parametrize("n", [2, 3, 5, 31])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_student_t_is_scipys(n, confidence):
    values = Key.of(n).generator().normal(0.7, 0.02, n)
    interval = student_t(values, confidence)
    low, high = stats.t.interval(confidence, n - 1, values.mean(), stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-12)
    assert (interval.method, interval.n, interval.confidence) == (Method.STUDENT_T, n, confidence)


def test_a_single_seed_has_no_interval():
    assert student_t([0.7]) is None


def test_equal_seeds_have_an_interval_of_no_width():
    interval = student_t([0.5, 0.5, 0.5])
    assert interval.low == interval.high == 0.5


def test_student_t_covers_the_mean_as_often_as_promised():
    draws = Key.of(0).generator().standard_normal((2000, 3))
    covered = np.mean([interval.low <= 0 <= interval.high for interval in map(student_t, draws)])
    assert covered == pytest.approx(0.95, abs=0.02)  # four standard deviations of 2,000 coins of 0.95


@pytest.mark.parametrize(("right", "n"), [(0, 7), (7, 7), (1, 1), (31, 257), (800, 801)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_is_scipys(right, n, confidence):
    interval = wilson(right, n, confidence)
    reference = stats.binomtest(right, n).proportion_ci(confidence, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_the_bootstrap_is_scipys_up_to_its_own_noise():
    values = Key.of(1).generator().normal(0, 1, 257)
    ours = bootstrap(values, Key.of(2), resamples=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=3
    ).confidence_interval
    # A 2.5 % quantile of 20,000 resamples is off by about 0.02 standard deviations of the mean, here 0.06.
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_resampling_distinct_outcomes_is_resampling_samples():
    outcomes = np.repeat([0.0, 0.4, 1.0], [31, 65, 33])
    fast = resampled_means(outcomes, Key.of(0), 4001)
    generator = np.random.default_rng(1)
    plain = np.array([generator.choice(outcomes, len(outcomes)).mean() for _ in range(4001)])
    assert stats.ks_2samp(fast, plain).statistic < 1.95 * np.sqrt(2 / 4001)  # Kolmogorov's bound at 0.1 %


def test_resampling_in_chunks_draws_as_many_as_asked():
    values = Key.of(0).generator().standard_normal(9001)
    means = resampled_means(values, Key.of(1), 700)
    assert means.shape == (700,)
    assert means.std() == pytest.approx(
        values.std() / np.sqrt(9001), rel=0.15
    )  # of 700 draws: 3 % off, 5 times


def test_seeds_are_averaged_before_samples_are_drawn():
    outcomes = Key.of(0).generator().integers(0, 2, (5, 129)).astype(float)
    assert bootstrap(outcomes, Key.of(1)) == bootstrap(outcomes.mean(0), Key.of(1))
    np.testing.assert_array_equal(per_sample(outcomes), outcomes.mean(0))


def test_the_bootstrap_depends_on_the_key_alone():
    values = Key.of(0).generator().standard_normal(33)
    assert bootstrap(values, Key.of(1)) == bootstrap(values, Key.of(1)) != bootstrap(values, Key.of(2))


def test_outcomes_that_are_all_equal_have_no_width():
    interval = bootstrap(np.ones(17), Key.of(0))
    assert interval.low == interval.high == 1


@pytest.mark.parametrize("make", [student_t, lambda values: bootstrap(values, Key.of(0))])
def test_nothing_and_nan_are_refused(make):
    with pytest.raises(DataError, match="expected"):
        make([])
    with pytest.raises(DataError, match="1 of 3 values are not finite"):
        make([0.1, np.nan, 0.2])


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_a_confidence_that_is_no_share_is_refused(confidence):
    with pytest.raises(UsageError, match="confidence is"):
        student_t([0.1, 0.2], confidence)


@pytest.mark.parametrize(("right", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(right, n):
    with pytest.raises(DataError, match="expected 0 <= right <= n"):
        wilson(right, n)


def test_no_resamples_are_refused():
    with pytest.raises(UsageError, match="resamples is 0"):
        bootstrap([0.0, 1.0], Key.of(0), resamples=0)


def test_scipy_stats_is_never_imported():
    # It alone takes longer to import than a whole summary to compute.
    code = "import sys, lpcm.stats.paired; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
