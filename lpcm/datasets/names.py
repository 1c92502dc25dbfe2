"""Class names as a prompt would say them, made from folder names. Refuses to guess at spelling or plural."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from lpcm.errors import DataError

_SHOWN = 3  # names in a message: enough to see the pattern

_NUMBER = re.compile(r"\d{2,}\.\s*(?=\D)")  # "001.Black_footed_Albatross", as CUB numbers its folders


def pretty(name: str) -> str:
    """A folder name as a prompt would say it: underscores are spaces, a leading ``001.`` goes.

    Case and hyphens stay: they carry meaning (``t-shirt``, ``Boeing 737``).

    Example:
        >>> pretty("001.Black_footed_Albatross")
        'Black footed Albatross'
    """
    words = " ".join(_NUMBER.sub("", unicodedata.normalize("NFC", name), count=1).replace("_", " ").split())
    return words or name


def pretty_all(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of many classes, kept apart, and a note for those that would have become the same.

    Args:
        names: unique folder names.

    Returns:
        The names in their order, and notes.
    """
    made = [pretty(name) for name in names]
    counts = Counter(made)
    clash = [name for name, nice in zip(names, made, strict=True) if counts[nice] > 1]
    if not clash:
        return tuple(made), ()
    note = f"class names {', '.join(map(repr, clash))} read the same as words: prompts use the folder names"
    return tuple(name if counts[nice] > 1 else nice for name, nice in zip(names, made, strict=True)), (note,)


def some(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are.

    Example:
        >>> some(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def checked_id(name: str) -> str:
    """A sample id made from a relative path: NFC, so that it is the same on every file system.

    Raises:
        DataError: when the name is not UTF-8 on disk.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"file name {name!r} is not valid UTF-8: it has no stable id",
            "Rename the file, for example with convmv.",
        ) from error
    return unicodedata.normalize("NFC", name)
