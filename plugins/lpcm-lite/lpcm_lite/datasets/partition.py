"""Dividing groups of look-alikes among train, val and test. Refuses to put one group into two splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from lpcm.keys import Key

SPLITS = ("train", "val", "test")


def partition(images: Iterable[tuple[str, str]], key: Key, limit: int) -> dict[str, str]:
    """Split of each group, in a random order that a key fixes, class by class.

    Groups go to val until it has a tenth of the class's images and four at least, then to train until it has
    half of them and sixteen at least; the others are test. So 16 shots, 4 images to choose settings on and a
    test part can be had from every class that is large enough.

    Args:
        images: the group and the class of each image; a group that spans classes belongs to its first.
        key: fixes the order; each group is folded into it, so that one more group moves few others.
        limit: most groups of a class; those further down the order get no split.

    Returns:
        ``"train"``, ``"val"`` or ``"test"`` for each group that is kept.

    Example:
        >>> split = partition([(str(i // 2), "bird") for i in range(40)], Key.of(0), 64)
        >>> [list(split.values()).count(name) for name in SPLITS]
        [10, 2, 8]
    """
    home: dict[str, str] = {}
    size: Counter[str] = Counter()
    for group, label in images:
        home.setdefault(group, label)
        size[group] += 1
    members: dict[str, list[str]] = defaultdict(list)
    for group, label in home.items():
        members[label].append(group)
    split: dict[str, str] = {}
    for groups in members.values():
        drawn = sorted(groups, key=lambda group: key.fold(group).state)[:limit]
        total = sum(size[group] for group in drawn)
        wanted = {"val": max(4, total / 10), "train": max(16, total / 2)}
        filled: Counter[str] = Counter()
        for group in drawn:
            name = next((s for s, count in wanted.items() if filled[s] < count), "test")
            split[group] = name
            filled[name] += size[group]
    return split
