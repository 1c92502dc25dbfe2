"""Rows of the source domains: what validates is never trained on, and no draw depends on the other domains."""

import numpy as np
import pytest

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block
from lpcm.tasks.source_rows import draw_source_rows, lacking

NAMES = ("ant", "bee", "cat")


def block(counts):
    """A block of ``{domain: (rows of each class)}``, its rows shuffled."""
    pairs = [(d, c) for d, row in counts.items() for c, count in enumerate(row) for _ in range(count)]
    ids = [f"{d}/{NAMES[c]}/{i}" for i, (d, c) in enumerate(pairs)]
    order = Key.of(3).generator().permutation(len(pairs))
    labels = np.array([pairs[i][1] for i in order])
    domains = tuple(pairs[i][0] for i in order)
    return Block(np.zeros((len(pairs), 1), np.float32), labels, tuple(ids[i] for i in order), domains)


def draw(block, shots=None, seed=0):
    return draw_source_rows(block, NAMES, shots, Key.of(seed))


def held(block, rows):
    """How many rows of each (domain, class) there are among ``rows``."""
    found = {}
    for row in rows:
        place = (block.domains[row], int(block.labels[row]))
        found[place] = found.get(place, 0) + 1
    return found


EVEN = block({"photo": (21, 33, 20), "sketch": (15, 7, 31)})


def test_a_fifth_of_each_class_of_each_domain_validates():
    rows = draw(EVEN)
    assert held(EVEN, rows.val) == {
        ("photo", 0): 4,
        ("photo", 1): 7,
        ("photo", 2): 4,
        ("sketch", 0): 3,
        ("sketch", 1): 1,
        ("sketch", 2): 6,
    }
    assert sorted([*rows.train, *rows.val]) == list(range(len(EVEN)))


@pytest.mark.parametrize("shots", [None, 1, 2, 3])
def test_what_validates_is_neither_trained_on_nor_unmixed(shots):
    rows = draw(EVEN, shots)
    assert not set(rows.val) & set(rows.train)
    assert not set(rows.val) & set(rows.unlabelled)
    assert set(rows.train) <= set(rows.unlabelled)
    assert len(rows.val) + len(rows.unlabelled) == len(EVEN)


@pytest.mark.parametrize(("shots", "val"), [(1, 1), (3, 3), (5, 4), (7, 4)])
def test_shots_are_a_class_and_domain_with_as_many_to_validate_up_to_four(shots, val):
    even = block({"photo": (11, 12, 13), "sketch": (11, 17, 11)})
    rows = draw(even, shots)
    assert set(held(even, rows.train).values()) == {shots}
    assert set(held(even, rows.val).values()) == {val}


def test_a_draw_does_not_depend_on_the_other_sources():
    both, alone = EVEN, EVEN.take(np.flatnonzero(np.array(EVEN.domains) == "sketch"))
    of_both = {both.ids[i] for i in draw(both).val if both.domains[i] == "sketch"}
    assert of_both == {alone.ids[i] for i in draw(alone).val}


def test_more_shots_contain_the_fewer_and_another_seed_draws_others():
    assert set(draw(EVEN, 1).train) < set(draw(EVEN, 3).train)
    assert set(draw(EVEN).val) != set(draw(EVEN, seed=1).val)


def test_rows_with_too_few_images_are_all_named():
    with pytest.raises(DataError) as caught:
        draw(EVEN, 13)
    assert "17 needed in each source domain (13 shots + 4 for validation)" in caught.value.message
    assert "'ant' in 'sketch' has 15" in caught.value.message
    assert "'bee' in 'sketch' has 7" in caught.value.message
    assert "--shots" in caught.value.hint


def test_a_class_that_a_domain_lacks_is_left_out_there_and_said():
    gap = block({"photo": (9, 0, 5), "sketch": (5, 0, 0)})
    rows = draw(gap, 2)
    assert held(gap, rows.train) == {("photo", 0): 2, ("photo", 2): 2, ("sketch", 0): 2}
    assert lacking(gap, NAMES, (0, 1, 2)) == [
        "never predicted, since no source domain has an image of them: 'bee'",
        "source domain 'sketch' has no image of 1 classes: 'cat'",
    ]
    assert lacking(gap, NAMES, (0,)) == []


def test_a_lone_image_trains_and_a_world_of_them_is_refused():
    lone = block({"photo": (1, 5, 5)})
    assert held(lone, draw(lone).train)["photo", 0] == 1
    assert ("photo", 0) not in held(lone, draw(lone).val)
    with pytest.raises(DataError, match="none is left to validate"):
        draw(block({"photo": (1, 1, 1), "sketch": (1, 1, 1)}))


def test_counts_say_what_each_domain_gave():
    assert draw(EVEN).counts()["sketch"] == {"train": 53 - 10, "val": 10}
