"""Rows of a few-shot cell: what is fitted on is not validated on, whatever the shot count."""

import numpy as np
import pytest

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.tasks.rows import ValSource, draw_rows

NAMES = ("ant", "bee", "cat")
LABELS = Key.of(5).generator().permutation(np.repeat(np.arange(3), [21, 33, 20]))


def rows(shots, seed=0, train=LABELS, val=None):
    return draw_rows(train, val, shots, Key.of(seed), NAMES)


@pytest.mark.parametrize("shots", [1, 2, 3, 4, 8, 16])
def test_shots_validation_and_unlabelled_rows_keep_apart(shots):
    drawn = rows(shots)
    assert np.bincount(LABELS[drawn.shots]).tolist() == [shots] * 3
    assert np.bincount(LABELS[drawn.val]).tolist() == [min(shots, 4)] * 3
    assert drawn.val_source is ValSource.TRAIN
    assert not set(drawn.shots) & set(drawn.val)
    assert not set(drawn.unlabelled) & set(drawn.val)
    assert set(drawn.shots) <= set(drawn.unlabelled)


def test_the_unlabelled_rows_are_the_same_for_all_shots():
    sets = {rows(shots).unlabelled.tobytes() for shots in (1, 2, 4, 8, 16)}
    assert len(sets) == 1
    assert len(rows(1).unlabelled) == len(LABELS) - 4 * 3


def test_more_shots_contain_the_fewer():
    assert set(rows(4).shots) <= set(rows(8).shots)


def test_another_seed_draws_other_rows():
    assert set(rows(4).shots) != set(rows(4, seed=1).shots)


def test_a_validation_split_of_its_own_leaves_all_of_train():
    val = np.repeat(np.arange(3), 5)
    drawn = rows(8, val=val)
    assert drawn.val_source is ValSource.VAL
    assert np.bincount(val[drawn.val]).tolist() == [4] * 3
    assert drawn.unlabelled.tolist() == list(range(len(LABELS)))


def test_small_classes_keep_back_only_what_they_validate_on():
    small = np.repeat(np.arange(3), 3)
    drawn = rows(1, train=small)
    assert len(drawn.unlabelled) == 9 - 3
    assert not set(drawn.unlabelled) & set(drawn.val)


def test_classes_that_are_too_small_are_named():
    with pytest.raises(DataError, match="'cat' has 20"):
        rows(17)
