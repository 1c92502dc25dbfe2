"""Accuracies equal scikit-learn's, and their nulls are what chance gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.metrics.accuracy import Accuracy, BalancedAccuracy

BOTH = [Accuracy(), BalancedAccuracy()]
pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=33)


def split(rows):
    truth, prediction = np.array(rows).T
    return truth, prediction


@given(pairs)
def test_accuracy_is_scikit_learns(rows):
    truth, prediction = split(rows)
    assert Accuracy()(truth, prediction) == pytest.approx(
        reference.accuracy_score(truth, prediction), abs=1e-12
    )


@given(pairs)
def test_balanced_accuracy_is_the_mean_recall(rows):
    truth, prediction = split(rows)
    recalls = reference.recall_score(
        truth, prediction, labels=np.unique(truth), average=None, zero_division=0
    )
    assert BalancedAccuracy()(truth, prediction) == pytest.approx(recalls.mean(), abs=1e-12)


@pytest.mark.parametrize("metric", BOTH)
def test_perfect_is_one_and_always_wrong_is_zero(metric):
    truth = np.array([0, 1, 2, 2, 1])
    assert metric(truth, truth) == 1
    assert metric(truth, (truth + 1) % 3) == 0


@pytest.mark.parametrize("metric", BOTH)
def test_renaming_classes_and_reordering_samples_change_nothing(metric):
    generator = np.random.default_rng(0)
    truth, prediction = generator.integers(0, 5, (2, 257))
    names, order = generator.permutation(5), generator.permutation(257)
    renamed = metric(names[truth][order], names[prediction][order])
    assert renamed == pytest.approx(metric(truth, prediction), abs=1e-12)


def test_the_null_of_accuracy_is_the_share_of_the_class_that_is_always_answered():
    truth = np.repeat([0, 1], [150, 107])
    assert Accuracy().null(Key.of(0), truth, np.zeros(257, int)) == pytest.approx(150 / 257, abs=1e-12)


def test_the_null_of_balanced_accuracy_ignores_class_sizes():
    truth = np.repeat([0, 1], [240, 17])
    assert BalancedAccuracy().null(Key.of(0), truth, np.zeros(257, int)) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("metric", BOTH)
def test_the_null_of_perfect_predictions_is_chance(metric):
    truth = np.arange(257) % 5
    # A permutation's score has standard deviation 0.025; the mean of 200 of them 0.002.
    assert metric.null(Key.of(0), truth, truth) == pytest.approx(1 / 5, abs=0.01)


@pytest.mark.parametrize("metric", BOTH)
def test_the_null_depends_on_the_key_alone(metric):
    truth, prediction = np.random.default_rng(0).integers(0, 3, (2, 31))
    first, again, other = (metric.null(Key.of(seed), truth, prediction) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("metric", BOTH)
def test_empty_and_unequal_inputs_are_refused(metric):
    for truth, prediction in ((np.zeros(0, int), np.zeros(0, int)), (np.zeros(3, int), np.zeros(2, int))):
        with pytest.raises(DataError, match="expected"):
            metric(truth, prediction)
        with pytest.raises(DataError, match="expected"):
            metric.null(Key.of(0), truth, prediction)


@pytest.mark.parametrize("metric", BOTH)
def test_a_card_says_what_a_reader_must_know(metric):
    for heading in ("Definition", "Range", "Chance", "Invariant", "Known failures", "Source"):
        assert heading in metric.card
