"""The dataset `icons`: glyphs of four icon fonts in seven styles, classes are the first words of the names.

The fonts are those that qtawesome ships; its files are read, the module itself (which wants Qt) is never
imported. An icon name is one concept in all fonts and styles, and is in one split only. It refuses older
versions of the same fonts, brand marks, and stroke widths that only thicken the same drawing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import DatasetOptions, Sample
from lpcm.store.digest import digest_of
from lpcm_lite.datasets.drawings import Glyph
from lpcm_lite.datasets.partition import SPLITS, partition
from lpcm_lite.packages import package_folder

CLASSES = {
    "arrow": "arrow",
    "battery": "battery",
    "bell": "bell",
    "book": "book",
    "briefcase": "briefcase",
    "calendar": "calendar",
    "camera": "camera",
    "car": "car",
    "clipboard": "clipboard",
    "cloud": "cloud",
    "code": "code",
    "database": "database",
    "eye": "eye",
    "file": "file",
    "folder": "folder",
    "hand": "hand",
    "heart": "heart",
    "image": "image",
    "lightbulb": "light bulb",
    "lock": "lock",
    "map": "map",
    "music": "music",
    "phone": "phone",
    "shield": "shield",
    "sort": "sorting",
    "star": "star",
    "table": "table",
    "text": "text",
    "train": "train",
    "truck": "truck",
    "video": "video",
    "wifi": "wireless network",
}
"""First word -> class name. The rule: each that all four fonts use, for at least ``FEWEST`` names, icons."""

FEWEST = (16, 36)
"""Names and icons that a class needs: 16 icons for train, 4 for val, the rest for test."""

MOST = 64
"""Names that a class may have, so that arrows and files are not a quarter of all."""

_KEY = Key.of(0).fold("icons", "split")
_SCHEME = 1


@dataclass(frozen=True)
class IconFont:
    """A font and how its names say the style.

    Args:
        file: name of the TrueType file.
        names: name of the JSON file from icon names to code points.
        plain: the style of a name that says none.
        marked: word at the end of a name -> style; an empty style leaves the icon out.
    """

    file: str
    names: str
    plain: str
    marked: tuple[tuple[str, str], ...] = ()


FONTS = (
    IconFont(
        "materialdesignicons6-webfont-6.9.96.ttf",
        "materialdesignicons6-webfont-charmap-6.9.96.json",
        "material",
        (("outline", "material-outline"),),
    ),
    IconFont(
        "phosphor-1.3.0.ttf",
        "phosphor-charmap-1.3.0.json",
        "phosphor",
        (("fill", "phosphor-fill"), ("bold", ""), ("light", ""), ("thin", "")),
    ),
    IconFont(
        "remixicon-2.5.0.ttf",
        "remixicon-charmap-2.5.0.json",
        "remix",
        (("line", "remix"), ("fill", "remix-fill")),
    ),
    IconFont(
        "fontawesome6-solid-webfont-6.7.2.ttf",
        "fontawesome6-solid-webfont-charmap-6.7.2.json",
        "font-awesome",
    ),
)


@dataclass(frozen=True)
class Icon:
    """One glyph.

    Args:
        name: of the concept, without the style: ``"file-alert"``.
        style: one of the domains.
        glyph: how it is drawn.
    """

    name: str
    style: str
    glyph: Glyph

    @property
    def head(self) -> str:
        """First word of the name."""
        return self.name.split("-")[0]


class Icons:
    """Icons in seven styles, 32 classes.

    Args:
        options: of the user; nothing is read outside installed packages.

    Raises:
        UsageError: when an argument was given.
    """

    name = "icons"
    classes = tuple(CLASSES.values())
    templates = ("an icon of a {}.", "a pictogram of a {}.", "a symbol for {}.", "a drawing of a {}.", "{}")
    domains = (
        "material",
        "material-outline",
        "phosphor",
        "phosphor-fill",
        "remix",
        "remix-fill",
        "font-awesome",
    )
    splits = SPLITS
    licence = (
        "Material Design Icons: Apache-2.0; Phosphor: MIT; Remix Icon: Apache-2.0; "
        "Font Awesome Free: OFL-1.1 (fonts)"
    )

    def __init__(self, options: DatasetOptions) -> None:
        if options.argument:
            raise UsageError(
                f"dataset 'icons' takes nothing after a colon: given {options.argument!r}", "--dataset icons"
            )
        self._files = options.files

    def samples(self, split: str) -> Sequence[Sample]:
        """List the samples of a split, ordered by class, name and style.

        Raises:
            UsageError: when there is no such split.
            MissingError: when qtawesome is not installed.
            DataError: when it has other contents than the pinned version.
        """
        if split not in self.splits:
            raise UsageError(
                f"dataset 'icons' has no split {split!r}: expected one of {', '.join(self.splits)}"
            )
        return self._samples[split]

    def digest(self) -> str:
        """Hex digest of all samples, their code points and the fonts."""
        rows = [
            [split, s.id, s.label, s.domain, s.captions, s.image.point]
            for split in self.splits
            for s in self._samples[split]
            if isinstance(s.image, Glyph)
        ]
        fonts = self._files.digests([_folder() / font.file for font in FONTS])
        return digest_of(
            {
                "dataset": self.name,
                "scheme": _SCHEME,
                "classes": self.classes,
                "fonts": fonts,
                "samples": rows,
            }
        )

    @cached_property
    def _samples(self) -> dict[str, tuple[Sample, ...]]:
        kept = [icon for icon in icons() if icon.head in CLASSES]
        split_of = partition([(icon.name, icon.head) for icon in kept], _KEY, MOST)
        label = {head: i for i, head in enumerate(CLASSES)}
        rows: dict[str, list[Sample]] = {split: [] for split in self.splits}
        for icon in sorted(
            kept, key=lambda icon: (label[icon.head], icon.name, self.domains.index(icon.style))
        ):
            if icon.name in split_of:
                caption = icon.name.replace("-", " ")
                sample = Sample(
                    f"{icon.style}/{icon.name}", icon.glyph, label[icon.head], icon.style, (caption,)
                )
                rows[split_of[icon.name]].append(sample)
        return {split: tuple(samples) for split, samples in rows.items()}


def load(options: DatasetOptions) -> Icons:
    """Build the dataset; nothing is listed before its first use."""
    return Icons(options)


def icons() -> tuple[Icon, ...]:
    """List the icons of all fonts and styles; of two with one name and style the first is kept.

    Raises:
        MissingError: when qtawesome is not installed.
        DataError: when its tables of names are not what the pinned version ships.
    """
    folder = _folder()
    found: dict[tuple[str, str], Icon] = {}
    for font in FONTS:
        for name, point in sorted(_points(folder / font.names).items()):
            concept, style = _styled(name, font)
            if style:
                found.setdefault((concept, style), Icon(concept, style, Glyph(folder / font.file, point)))
    return tuple(found.values())


def _styled(name: str, font: IconFont) -> tuple[str, str]:
    for word, style in font.marked:
        if name.endswith(f"-{word}"):
            return name.removesuffix(f"-{word}"), style
    return name, font.plain


def _points(path: Path) -> dict[str, int]:
    try:
        return {name: int(point, 16) for name, point in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(
            f"{path} is not a table of icon names: {error}", "pip install --force-reinstall qtawesome==1.4.2"
        ) from error


def _folder() -> Path:
    return package_folder("qtawesome", "qtawesome==1.4.2") / "fonts"
