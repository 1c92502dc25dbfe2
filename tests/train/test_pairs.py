"""What can be learnt from, and that no positive is counted as a negative."""

import doctest
from importlib import import_module

import numpy as np
import pytest

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.train.columns import Columns
from lpcm.train.held_out import hold_out
from lpcm.train.pairs import Pairs
from tests.train.conftest import planted


def encode(texts):
    return np.eye(len(texts), dtype=np.float32)


def test_a_caption_that_images_share_is_one_text():
    pairs = Pairs.of(np.eye(3), [["a dog"], ["a cat"], ["a  dog "]], encode)
    assert pairs.items.tolist() == [0, 1, 0]
    assert len(pairs.texts) == 2


def test_an_image_without_a_caption_is_named():
    with pytest.raises(DataError, match="1 of 3 images have no caption, first row 1"):
        Pairs.of(np.eye(3), [["a"], [" "], ["b"]], encode)


def test_one_pair_cannot_be_trained_on():
    with pytest.raises(DataError, match="there is 1 pair"):
        Pairs.of(np.eye(1), [["a"]], encode).for_training(None)


def test_captions_that_are_all_equal_cannot_be_trained_on():
    with pytest.raises(DataError, match="all 3 images have the same caption"):
        Pairs.of(np.eye(3), [["a"]] * 3, encode).for_training(None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["image", "text"])
def test_features_that_are_not_finite_are_refused(value, side):
    images, texts = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    (images if side == "image" else texts)[1, 2] = value
    with pytest.raises(DataError, match=f"{side} features hold NaN or infinity in 1 of 3 rows, first row 1"):
        Pairs(images, texts, np.arange(3), np.arange(3))


def test_a_batch_larger_than_the_set_is_refused():
    with pytest.raises(UsageError, match="batch is 8 and there are 7 pairs") as caught:
        planted(7).for_training(8)
    assert "--batch all" in caught.value.hint


def test_joined_sets_keep_their_pairs():
    both = planted(3).join(planted(5, seed=1))
    assert both.items.tolist() == list(range(8))
    assert both.owners.tolist() == list(range(8))


def _many_captions(seed):
    """101 images, one to four captions each of 40, so that many are shared and linked."""
    draws = np.random.Generator(np.random.Philox(key=seed))
    sets = [draws.choice(40, size=draws.integers(1, 5), replace=False) for _ in range(101)]
    owners = np.repeat(np.arange(101), [len(s) for s in sets])
    return sets, Pairs(
        np.ones((101, 3), np.float32), np.ones((40, 3), np.float32), owners, np.concatenate(sets)
    )


@pytest.mark.parametrize("seed", range(5))
def test_no_other_caption_of_an_image_is_ever_a_column_of_its_batch(seed):
    sets, pairs = _many_captions(seed)
    generator = Key.of(seed).generator()
    rows, texts, labels = Columns(pairs).draw(generator.permutation(101), generator)
    assert len(rows) > 20  # many captions are linked here, and still most images take part
    for row, label in zip(rows, labels, strict=True):
        assert texts[label] in sets[row]
        assert set(sets[row]) & set(texts) == {texts[label]}


def test_with_one_caption_each_every_image_takes_part():
    pairs = planted(9, copies=3)
    order = Key.of(0).generator().permutation(27)
    rows, texts, labels = Columns(pairs).draw(order, Key.of(0).generator())
    assert rows.tolist() == order.tolist()
    assert (texts[labels] == pairs.items[order]).all()
    assert len(texts) == 9


def test_what_is_held_out_shares_no_caption_with_the_rest():
    captions = [[f"{i // 3}", f"{i // 3} again"] for i in range(60)] + [["0", "7"]]
    held = hold_out(captions, Key.of(0), 0.25)
    here, there = ({t for i in np.flatnonzero(side) for t in captions[i]} for side in (held, ~held))
    assert here
    assert there
    assert not here & there


@pytest.mark.parametrize("name", ["pairs", "columns", "held_out", "gradient_cache"])
def test_examples_in_docstrings_run(name):
    result = doctest.testmod(import_module(f"lpcm.train.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
