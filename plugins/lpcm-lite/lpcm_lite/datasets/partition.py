"""Dividing groups of look-alikes among train, val and test. Refuses to put one group into two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from lpcm.keys import Key

SPLITS = ("train", "val", "test")


def quota(groups: int) -> tuple[int, int, int]:
    """How many of a class's groups go to train, val and test.

    Half to train, a tenth (two at least) to val, the rest to test.

    Example:
        >>> quota(16), quota(66)
        ((8, 2, 6), (33, 7, 26))
    """
    train, val = groups // 2, max(2, round(groups / 10))
    return train, val, groups - train - val


def partition(home: Mapping[str, str], key: Key, limit: int) -> dict[str, str]:
    """Split of each group, in a random order that a key fixes, class by class.

    Args:
        home: the class of each group.
        key: fixes the order; each group is folded into it, so that one more group moves few others.
        limit: most groups of a class; those further down the order get no split.

    Returns:
        ``"train"``, ``"val"`` or ``"test"`` for each group that is kept.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for group, label in home.items():
        members[label].append(group)
    split: dict[str, str] = {}
    for groups in members.values():
        drawn = sorted(groups, key=lambda group: key.fold(group).state)[:limit]
        ends = quota(len(drawn))
        for name, count in zip(SPLITS, ends, strict=True):
            split.update(dict.fromkeys(drawn[:count], name))
            drawn = drawn[count:]
    return split
