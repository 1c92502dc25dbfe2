"""The 1,000 classes of ImageNet: WordNet ids in their order, and the names that prompts say.

Both are read from files of installed packages, as text: nothing of timm or open_clip is imported, so torch is not
either. Refuses to carry a copy of them. The order is that of the sorted ids, as folders are listed; it is also
the order of torchvision's labels, of CLIP's class names and of ImageNet-V2's numbered folders. The ids of the
ILSVRC development kit (``meta.mat``) count otherwise and are not used.
"""

from __future__ import annotations

import ast
from collections import Counter
from enum import Enum
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lpcm.errors import MissingError

CLASSES = 1000


class Subset(str, Enum):
    """Sets that hold 200 of the classes; the value is timm's word for it."""

    A = "imagenet_a"
    R = "imagenet_r"


@cache
def wnids() -> tuple[str, ...]:
    """WordNet ids of the classes in the order of the labels.

    Raises:
        MissingError: when timm, which carries the list, is not installed or no longer has it.

    Example:
        >>> wnids()[0], wnids()[281], len(wnids())
        ('n01440764', 'n02123045', 1000)
    """
    return _synsets("imagenet", CLASSES)


@cache
def subset_wnids(subset: Subset) -> tuple[str, ...]:
    """WordNet ids of the 200 classes of a subset, in the order of the labels.

    Raises:
        MissingError: as ``wnids``.

    Example:
        >>> len(subset_wnids(Subset.R)), subset_wnids(Subset.R)[0]
        (200, 'n01443537')
    """
    return _synsets(subset.value, 200)


@cache
def class_names() -> tuple[str, ...]:
    """Names of the classes in the order of the labels, each of them once.

    They are those of CLIP's authors as open_clip corrects them. Two names occur twice there, "missile" and
    "sunglasses"; these four classes are called by the first word of their WordNet entry instead, since the class of
    a name must be one.

    Raises:
        MissingError: when open_clip or timm, which carry them, is not installed or no longer has them.

    Example:
        >>> class_names()[0], class_names()[281]
        ('tench', 'tabby cat')
    """
    file = _file("open_clip", "open_clip_torch>=3.0", "zero_shot_metadata.py")
    names = _literal(file, "IMAGENET_CLASSNAMES")
    if len(names) != CLASSES:
        raise _changed(file, f"{len(names)} names", "open_clip_torch>=3.0")
    counts = Counter(names)
    words = _first_words() if len(counts) < CLASSES else {}
    return tuple(
        name if counts[name] == 1 else words[wnid] for name, wnid in zip(names, wnids(), strict=True)
    )


def _literal(file: Path, name: str) -> tuple[str, ...]:
    """The value of a name that a module assigns a literal to."""
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return tuple(ast.literal_eval(value))
    raise _changed(file, f"no {name}", "open_clip_torch>=3.0")


def _synsets(name: str, count: int) -> tuple[str, ...]:
    file = _file("timm", "timm>=1.0", f"data/_info/{name}_synsets.txt")
    found = tuple(file.read_text(encoding="utf-8").split())
    if found != tuple(sorted(set(found))) or len(found) != count:
        raise _changed(file, f"{len(found)} ids, or not in order", "timm>=1.0")
    return found


def _first_words() -> dict[str, str]:
    file = _file("timm", "timm>=1.0", "data/_info/imagenet_synset_to_lemma.txt")
    pairs = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines())
    return {pair[0]: pair[1].partition(",")[0] for pair in pairs if len(pair) == 2}


def _file(module: str, requirement: str, name: str) -> Path:
    spec = find_spec(module)  # finds the package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise MissingError(
            f"{requirement} is not installed: the classes of ImageNet are read from it",
            f"pip install '{requirement}'",
        )
    file = Path(spec.submodule_search_locations[0]) / name
    if not file.is_file():
        raise _changed(file, "no such file", requirement)
    return file


def _changed(file: Path, found: str, requirement: str) -> MissingError:
    return MissingError(
        f"{file} does not hold the classes of ImageNet as it used to ({found})",
        f"pip install --force-reinstall '{requirement}'; if it stays so, its layout has changed: report it to lpcm.",
    )
