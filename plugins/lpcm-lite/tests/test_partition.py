from __future__ import annotations

import pytest
from lpcm_lite.datasets.partition import partition

from lpcm.keys import Key

KEY = Key.of(3)


def images(groups: int, each: int, label: str = "a") -> list[tuple[str, str]]:
    return [(f"{label}{i}", label) for i in range(groups) for _ in range(each)]


@pytest.mark.parametrize(("groups", "each"), [(16, 2), (17, 3), (33, 1), (257, 7)])
def test_a_class_fills_train_and_val_and_keeps_a_test_part(groups: int, each: int) -> None:
    split = list(partition(images(groups, each), KEY, 1000).values())
    train, val, test = (split.count(name) * each for name in ("train", "val", "test"))
    assert train >= max(16, groups * each / 2)
    assert val >= 4
    assert train + val + test == groups * each
    assert test >= groups * each / 4


def test_the_order_of_images_does_not_matter() -> None:
    rows = images(31, 2) + images(17, 3, "b")
    assert partition(rows, KEY, 1000) == partition(rows[::-1], KEY, 1000)


def test_another_key_gives_another_split() -> None:
    assert partition(images(31, 2), KEY, 1000) != partition(images(31, 2), Key.of(4), 1000)


def test_a_class_is_cut_at_the_limit() -> None:
    assert len(partition(images(257, 1), KEY, 63)) == 63


def test_a_group_that_spans_classes_is_in_one_split() -> None:
    rows = [*images(16, 2), ("a0", "b"), *images(16, 2, "b")]
    assert sum(group == "a0" for group in partition(rows, KEY, 1000)) == 1


def test_one_group_more_moves_few_others() -> None:
    before, after = partition(images(60, 2), KEY, 1000), partition(images(61, 2), KEY, 1000)
    assert sum(before[group] != after[group] for group in before) <= 3
