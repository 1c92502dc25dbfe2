from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpcm.datasets.splits import ValPool, draw_shots, draw_val, split_by_key, val_shots
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key

KEY = Key.of(3)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(7), [31, 33, 17, 15, 41, 21, 23]))


def counts(labels, rows, c=7):
    return np.bincount(np.asarray(labels)[rows], minlength=c).tolist()


@pytest.mark.parametrize("shots", [1, 2, 3, 4, 8, 11])
def test_every_class_gives_as_many_rows_as_asked(shots):
    rows = draw_shots(LABELS, shots, KEY)
    assert counts(LABELS, rows) == [shots] * 7
    assert np.all(np.diff(rows) > 0)  # ascending, none twice
    assert counts(LABELS, draw_val(LABELS, shots, KEY)) == [val_shots(shots)] * 7


@given(
    sizes=st.lists(st.integers(6, 40), min_size=1, max_size=9),
    shots=st.integers(1, 5),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=50, deadline=None)
def test_more_shots_contain_fewer_and_validation_is_apart(sizes, shots, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    key = Key.of(seed)
    fewer, more = set(draw_shots(labels, shots, key)), set(draw_shots(labels, shots + 1, key))
    assert fewer < more
    if min(sizes) >= shots + val_shots(shots):
        assert not fewer & set(draw_val(labels, shots, key))


@pytest.mark.parametrize("shots", [1, 3, 4, 7])
def test_shots_and_validation_may_use_up_a_class(shots):
    size = shots + val_shots(shots)
    labels = np.repeat([0, 1, 2], size)
    used = [*draw_shots(labels, shots, KEY), *draw_val(labels, shots, KEY)]
    assert sorted(used) == list(range(3 * size))


def test_a_class_is_drawn_as_if_the_others_were_not_there():
    names = list("abcdefg")
    all_rows = draw_shots(LABELS, 4, KEY, names)
    kept = np.flatnonzero((LABELS == 2) | (LABELS == 5))
    relabelled = np.where(LABELS[kept] == 2, 1, 0)  # fewer classes, other numbers, the same names
    rows = kept[draw_shots(relabelled, 4, KEY, ["f", "c"])]
    assert set(rows) == {row for row in all_rows if LABELS[row] in (2, 5)}


def test_classes_of_equal_size_are_drawn_differently():
    labels = np.repeat(np.arange(5), 30)
    picks = {tuple(draw_shots(labels, 8, KEY)[8 * c : 8 * c + 8] - 30 * c) for c in range(5)}
    assert len(picks) == 5


def test_other_keys_draw_other_rows_and_the_same_key_the_same():
    drawn = [tuple(draw_shots(LABELS, 4, Key.of(seed))) for seed in range(5)]
    assert len(set(drawn)) == 5
    assert tuple(draw_shots(LABELS, 4, Key.of(0))) == drawn[0]


def test_every_row_is_as_likely_as_any_other():
    labels = [0] * 10
    hits = np.zeros(10)
    for seed in range(400):
        hits[draw_shots(labels, 3, Key.of(seed))] += 1
    # 400 draws of 3 in 10: mean 120, standard deviation sqrt(400 * 0.3 * 0.7) = 9.2; five of them
    assert np.all(np.abs(hits - 120) < 46)


def test_no_global_generator_is_touched():
    before = np.random.get_state()[1].copy(), random.getstate()
    draw_shots(LABELS, 4, KEY)
    draw_val(LABELS, 4, KEY)
    split_by_key(["a", "b", "c"], ["x"] * 3, KEY)
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]


def test_validation_of_its_own_split_is_drawn_from_all_of_it():
    labels = [0] * 4 + [1] * 4
    assert draw_val(labels, 16, KEY, pool=ValPool.OWN).tolist() == list(range(8))
    assert counts(labels, draw_val(labels, 2, KEY, pool=ValPool.OWN), 2) == [2, 2]


def test_validation_of_its_own_split_does_not_follow_the_draw_from_train():
    drawn = [draw_val(LABELS, 4, Key.of(seed)).tolist() for seed in range(5)]
    own = [draw_val(LABELS, 4, Key.of(seed), pool=ValPool.OWN).tolist() for seed in range(5)]
    assert all(one != other for one, other in zip(drawn, own, strict=True))


def test_a_class_too_small_is_named_with_its_count():
    with pytest.raises(
        DataError, match=r"9 needed \(5 shots \+ 4 for validation\), but 'owl' has 8"
    ) as caught:
        draw_val([0] * 9 + [1] * 8, 5, KEY, ["cat", "owl"])
    assert "--shots" in caught.value.hint
    with pytest.raises(DataError, match="'owl' has 0"):
        draw_shots([0, 0], 1, KEY, ["cat", "owl"])
    with pytest.raises(DataError, match=r"'0' has 1, .*and 2 more classes"):
        draw_shots(np.arange(7), 2, KEY)


@pytest.mark.parametrize("shots", [0, -1])
def test_no_shots_is_a_usage_error(shots):
    with pytest.raises(UsageError, match="expected 1 or more"):
        draw_shots(LABELS, shots, KEY)


def test_a_label_without_a_name_is_an_error():
    with pytest.raises(DataError, match=r"labels \[2\] are outside \[0, 2\)"):
        draw_shots([0, 1, 2], 1, KEY, ["a", "b"])


IDS = [
    f"{c}/{n:03d}.jpg"
    for c, size in (("a", 31), ("b", 10), ("c", 3), ("d", 2), ("e", 1))
    for n in range(size)
]
STRATA = [name[0] for name in IDS]


def test_a_keyed_split_is_a_partition_with_the_stated_shares():
    split = split_by_key(IDS, STRATA, KEY)
    assert sorted(row for rows in split.values() for row in rows) == list(range(len(IDS)))
    per = {name: {s: sum(STRATA[r] == s for r in rows) for s in "abcde"} for name, rows in split.items()}
    assert per["train"] == {"a": 16, "b": 5, "c": 1, "d": 1, "e": 1}
    assert per["val"] == {"a": 6, "b": 2, "c": 1, "d": 0, "e": 0}
    assert per["test"] == {"a": 9, "b": 3, "c": 1, "d": 1, "e": 0}


def named(ids, strata):
    return {ids[row]: name for name, rows in split_by_key(ids, strata, KEY).items() for row in rows}


def test_a_keyed_split_does_not_follow_the_order_of_listing():
    order = np.random.default_rng(1).permutation(len(IDS))
    assert named([IDS[i] for i in order], [STRATA[i] for i in order]) == named(IDS, STRATA)


def test_one_file_more_moves_at_most_its_neighbours_at_the_borders():
    before = named(IDS, STRATA)
    after = named([*IDS, "a/new.jpg"], [*STRATA, "a"])
    assert sum(after[name] != split for name, split in before.items()) <= 2  # there are two borders
    assert all(after[name] == before[name] for name in IDS if not name.startswith("a/"))
