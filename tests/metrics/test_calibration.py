"""Calibration figures equal their literal formulas, and the fitted scale is the best there is."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss, top_k_accuracy_score

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.metrics.calibration import (
    LARGEST_SCALE,
    SMALLEST_SCALE,
    Binning,
    calibration,
    calibration_error,
    credit,
    fit_scale,
)


def drawn(n, c, seed=0, signal=1.0):
    generator = Key.of(seed).fold("logits", n, c).generator()
    labels = generator.integers(0, c, n)
    return generator.standard_normal((n, c)) + signal * np.eye(c)[labels], labels


def literal_ece(confidence, right, edges):
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


@pytest.mark.parametrize(("n", "c"), [(1, 2), (3, 7), (31, 2), (257, 17)])
def test_figures_equal_the_literal_formulas(n, c):
    logits, labels = drawn(n, c)
    found = calibration(logits, labels)
    p = softmax(logits, axis=1)
    confidence, right = p.max(axis=1), (p.argmax(axis=1) == labels).astype(float)
    # Sums of n * c float64 numbers below 2.
    assert found.ece == pytest.approx(literal_ece(confidence, right, np.linspace(0, 1, 16)), abs=1e-12)
    assert found.brier == pytest.approx(np.square(p - np.eye(c)[labels]).sum(axis=1).mean(), abs=1e-12)
    assert found.nll == pytest.approx(log_loss(labels, p, labels=np.arange(c)), abs=1e-12)


def test_a_confidence_on_an_edge_is_in_the_bin_below_it():
    confidence, right = np.array([0.25, 0.3, 0.5, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    got = calibration_error(confidence, right, bins=4, binning=Binning.WIDTH)
    # (0, 1/4]: 0.25; (1/4, 1/2]: 0.3 and 0.5, none right; (3/4, 1]: 1.
    assert got == pytest.approx((0.75 + 0.8 + 0) / 4, abs=1e-15)


def test_brier_is_twice_scikit_learns_for_two_classes():
    logits, labels = drawn(101, 2)
    ours = calibration(logits, labels).brier
    assert ours == pytest.approx(2 * brier_score_loss(labels, softmax(logits, axis=1)[:, 1]), abs=1e-12)


def test_bins_of_equal_mass_hold_equally_many_samples():
    generator = Key.of(4).generator()
    confidence = generator.random(150)
    right = (generator.random(150) < confidence).astype(float)
    edges = np.concatenate([[-1], np.sort(confidence)[9::10]])  # 15 bins of 10
    got = calibration_error(confidence, right, binning=Binning.MASS)
    assert got == pytest.approx(literal_ece(confidence, right, edges), abs=1e-12)


@pytest.mark.parametrize("binning", list(Binning))
def test_the_order_of_samples_says_nothing_also_where_confidences_are_equal(binning):
    generator = Key.of(5).generator()
    confidence = generator.integers(1, 5, 257) / 4
    right = generator.integers(0, 2, 257).astype(float)
    order = generator.permutation(257)
    first = calibration_error(confidence, right, binning=binning)
    # Sums in another order.
    assert calibration_error(confidence[order], right[order], binning=binning) == pytest.approx(
        first, abs=1e-12
    )


@pytest.mark.parametrize("binning", list(Binning))
def test_certain_and_right_is_zero_and_certain_and_wrong_is_one(binning):
    ones = np.ones(31)
    assert calibration_error(ones, ones, binning=binning) == 0
    assert calibration_error(ones, 0 * ones, binning=binning) == 1


def test_probabilities_that_are_true_have_little_error_and_too_sharp_ones_much():
    generator = Key.of(6).generator()
    logits = 2 * generator.standard_normal((20_000, 7))
    p = softmax(logits, axis=1)
    labels = (p.cumsum(axis=1) > generator.random((20_000, 1))).argmax(axis=1)
    true, sharp = calibration(logits, labels), calibration(4 * logits, labels)
    # The error of 15 shares of some 1300 samples each is near 0.01 on average.
    assert max(true.ece, true.ece_mass) < 0.02
    assert min(sharp.ece, sharp.ece_mass) > 0.1
    assert sharp.brier > true.brier
    assert sharp.nll > true.nll


@given(st.integers(0, 1000), st.integers(2, 9))
def test_the_fitted_scale_has_the_lowest_nll(seed, c):
    logits, labels = drawn(33, c, seed=seed)

    def nll(scale):
        return calibration(scale * logits, labels).nll

    scale = fit_scale(logits, labels)
    found = minimize_scalar(lambda s: nll(np.exp(s)), bounds=(np.log(1e-2), np.log(1e4)), method="bounded")
    # The other search stops at 1e-5 of the logarithm, where the NLL is flat to its square.
    assert nll(scale) <= found.fun + 1e-9


def test_scaling_the_scores_scales_the_answer_the_other_way():
    logits, labels = drawn(257, 5)
    # Roots are sought to 1e-10 of the logarithm.
    assert fit_scale(logits / 100, labels) == pytest.approx(100 * fit_scale(logits, labels), rel=1e-8)


def test_a_scale_that_would_be_infinite_or_negative_ends_at_the_search():
    labels = np.arange(5)
    assert fit_scale(np.eye(5), labels) == LARGEST_SCALE
    assert fit_scale(-np.eye(5), labels) == SMALLEST_SCALE


def test_classes_that_cannot_be_count_for_nothing():
    logits, labels = drawn(31, 5)
    wider = np.insert(logits, 2, -np.inf, axis=1)
    moved = labels + (labels >= 2)
    assert calibration(wider, moved) == calibration(logits, labels)
    # The same sums with zeros between.
    assert fit_scale(wider, moved) == pytest.approx(fit_scale(logits, labels), rel=1e-9)
    with pytest.raises(DataError, match=r"ruled out: \[2\]"):
        calibration(wider, np.full(31, 2))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_credit_is_top_k_accuracy_where_nothing_is_tied(k):
    logits, labels = drawn(101, 7)
    expected = top_k_accuracy_score(labels, logits, k=k, labels=np.arange(7))
    assert credit(logits, labels, k).mean() == pytest.approx(expected, abs=1e-12)


def test_scores_that_say_nothing_get_what_chance_gives():
    labels = np.arange(31) % 7
    for k in (1, 3, 7, 9):
        assert credit(np.ones((31, 7)), labels, k) == pytest.approx(min(k / 7, 1), abs=1e-15)


def test_what_cannot_be_measured_is_refused_with_the_reason():
    logits, labels = drawn(3, 2)
    with pytest.raises(DataError, match="expected"):
        calibration(logits, labels[:2])
    with pytest.raises(DataError, match="expected"):
        calibration(logits[:0], labels[:0])
    with pytest.raises(DataError, match="labels reach"):
        calibration(logits, labels + 2)
    with pytest.raises(DataError, match="NaN"):
        fit_scale(np.where(logits > 0, np.nan, np.nan), labels)
    with pytest.raises(UsageError, match="bins is 0"):
        calibration(logits, labels, bins=0)
