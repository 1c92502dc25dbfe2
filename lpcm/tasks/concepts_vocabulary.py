"""The words that components may be named with: class names, ImageNet's, and a user's own. Refuses to import torch.

The ImageNet names are read from the installed open_clip, as text: none of its code runs.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lpcm.errors import DataError, MissingError, UsageError

TEMPLATE = "a photo of a {}."
"""What words that are no classes of the dataset are put into."""

_FILE, _NAMES = "zero_shot_metadata.py", "IMAGENET_CLASSNAMES"


@dataclass(frozen=True)
class Words:
    """Words from one place.

    Args:
        source: where they are from: ``"classes"``, ``"imagenet"`` or the name of a file.
        words: the words, as they are shown.
    """

    source: str
    words: tuple[str, ...]


def imagenet_words() -> Words:
    """The names of the 1,000 ImageNet classes that open_clip carries, each once.

    Raises:
        MissingError: when open_clip is not installed.
        DataError: when its file has another form than it used to.
    """
    spec = find_spec("open_clip")  # of a top-level name: imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise MissingError("open_clip_torch is not installed", "pip install 'open_clip_torch>=3.0'")
    path = Path(spec.submodule_search_locations[0]) / _FILE
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        (names,) = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [_NAMES]
        ]
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{path} does not hold {_NAMES} as it used to: {error}", "pip install 'open_clip_torch>=3.0,<4'"
        ) from error
    return Words("imagenet", tuple(dict.fromkeys(map(str, names))))


def read_words(path: Path) -> Words:
    """Words of a text file, one a line; empty lines and those that begin with ``#`` are left out.

    Raises:
        UsageError: when there is no such file.
        DataError: when it is not UTF-8 text, or holds no word.
    """
    if not path.is_file():
        raise UsageError(
            f"concepts.words is {str(path)!r}, which is not a file", "give a text file, a word a line"
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}", "save it as UTF-8") from error
    words = tuple(
        dict.fromkeys(word for line in lines if (word := line.strip()) and not word.startswith("#"))
    )
    if not words:
        raise DataError(f"{path} holds no word", "write one a line")
    return Words(path.name, words)


def without_repeats(*groups: Words) -> tuple[Words, ...]:
    """The groups without words that an earlier group has, whatever their case; empty groups go.

    Example:
        >>> without_repeats(Words("classes", ("Cat",)), Words("imagenet", ("cat", "dog")))[1].words
        ('dog',)
    """
    seen: set[str] = set()
    kept = []
    for group in groups:
        new = tuple(word for word in group.words if word.casefold() not in seen)
        seen |= {word.casefold() for word in new}
        if new:
            kept.append(Words(group.source, new))
    return tuple(kept)
