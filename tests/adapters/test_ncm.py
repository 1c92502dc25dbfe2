"""The nearest class mean is the average of each class's rows, by cosine or by distance."""

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid

from lpcm.adapters.ncm import NearestClassMean
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, TEST, TRAIN


def fitted(train=TRAIN, **settings):
    return NearestClassMean(**settings).fit(*train, classes=CLASSES, key=Key.of(0))


@check_adapter("ncm")
def test_ncm(check):
    check()


def test_cosine_logits_are_those_of_the_formula():
    logits = fitted().logits(TEST[0])
    X, y = TRAIN[0].astype(np.float64), TRAIN[1]
    for c in range(CLASSES):
        mean = sum(row / np.sqrt(row @ row) for row in X[y == c]) / (y == c).sum()
        for i in range(len(TEST[0])):
            f = TEST[0][i].astype(np.float64)
            # float64 on both sides: rounding of sums of 17 products
            assert logits[i, c] == pytest.approx(f @ mean / np.sqrt(f @ f * (mean @ mean)), abs=1e-12)


@pytest.mark.parametrize("shift", [0, 1000])
def test_euclidean_logits_are_scikit_learns_distances(shift):
    X, T = TRAIN[0] + np.float32(shift), TEST[0] + np.float32(shift)
    theirs = NearestCentroid().fit(X.astype(np.float64), TRAIN[1])
    distances = np.square(T.astype(np.float64)[:, None] - theirs.centroids_).sum(2)
    logits = fitted((X, TRAIN[1]), nearness="euclidean").logits(T)
    # Distances are below 100 and float64: 1e-6 is far above rounding, also of a shift of 1000.
    np.testing.assert_allclose(logits, -distances, atol=1e-6)
    assert (logits.argmax(1) == theirs.predict(T.astype(np.float64))).all()


def test_scaling_rows_apart_changes_nothing_by_cosine_and_something_by_distance():
    scales = np.float32(2) ** (np.arange(len(TRAIN[0])) % 7)[:, None]
    for nearness, same in (("cosine", True), ("euclidean", False)):
        scaled = fitted((TRAIN[0] * scales, TRAIN[1]), nearness=nearness).logits(TEST[0])
        assert np.allclose(scaled, fitted(nearness=nearness).logits(TEST[0]), atol=1e-6) is same


@pytest.mark.parametrize("nearness", ["cosine", "euclidean"])
def test_a_class_without_rows_is_never_predicted(nearness):
    keep = TRAIN[1] != 2
    logits = fitted((TRAIN[0][keep], TRAIN[1][keep]), nearness=nearness).logits(TEST[0])
    assert np.isneginf(logits[:, 2]).all()
    assert np.isfinite(np.delete(logits, 2, axis=1)).all()


def test_wrong_settings_and_no_rows_are_refused():
    with pytest.raises(UsageError, match="nearness is 'manhattan': expected 'cosine' or 'euclidean'"):
        NearestClassMean(nearness="manhattan")
    with pytest.raises(DataError, match="no rows"):
        fitted((TRAIN[0][:0], TRAIN[1][:0]))
