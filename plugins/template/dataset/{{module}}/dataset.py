"""Drawn shapes in two styles. Nothing is downloaded; for files on disk see `FileImage` in lpcm.datasets.sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lpcm.errors import DataError, nearest
from lpcm.keys import Key
from lpcm.plugin import DatasetOptions, Sample
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    from lpcm.store.files import FileDigests
    from PIL.Image import Image

SCHEME = 1
"""Raise this when the code below draws other pixels than before."""

SIDE = 48
SHAPES = ("circle", "square", "triangle", "cross")
STYLES = ("filled", "outlined")
COUNTS = {"train": 60, "val": 20, "test": 40}
"""Samples of each class in each split; the styles take turns."""


@dataclass(frozen=True)
class ShapeImage:
    """A picture as the few numbers that it is drawn from: small to send to a worker process."""

    shape: str
    style: str
    left: int
    top: int
    size: int
    colour: tuple[int, int, int]

    def open(self) -> Image:
        """Draw the picture."""
        from PIL import Image, ImageDraw

        image = Image.new("RGB", (SIDE, SIDE), "white")
        draw = ImageDraw.Draw(image)
        right, bottom = self.left + self.size, self.top + self.size
        middle = self.left + self.size // 2
        fill = self.colour if self.style == "filled" else None
        if self.shape == "circle":
            draw.ellipse(
                (self.left, self.top, right, bottom),
                fill=fill,
                outline=self.colour,
                width=2,
            )
        elif self.shape == "square":
            draw.rectangle(
                (self.left, self.top, right, bottom),
                fill=fill,
                outline=self.colour,
                width=2,
            )
        elif self.shape == "triangle":
            corners = [(middle, self.top), (right, bottom), (self.left, bottom)]
            draw.polygon(corners, fill=fill, outline=self.colour, width=2)
        else:
            width = 6 if fill else 2
            draw.line(
                (self.left, self.top, right, bottom), fill=self.colour, width=width
            )
            draw.line(
                (self.left, bottom, right, self.top), fill=self.colour, width=width
            )
        return image

    def fingerprint(self, files: FileDigests) -> str:
        """Move with everything that decides the pixels; for a file, return `files.digest(path)`."""
        return digest_of([SCHEME, SIDE, self])


class Shapes:
    """Four shapes in two styles.

    Args:
        options: what the user asked for: where data lies, whether connections are allowed.
    """

    name = "{{name}}"
    classes = SHAPES
    templates = ("a drawing of a {}.",)
    domains = STYLES
    splits = tuple(COUNTS)
    licence = "CC0-1.0"

    def __init__(self, options: DatasetOptions) -> None:
        self._files = options.files

    def samples(self, split: str) -> Sequence[Sample]:
        """Samples of a split, the classes in turn. Raises `DataError` for an unknown split."""
        if split not in COUNTS:
            known = nearest(split, COUNTS) or f"it has {', '.join(COUNTS)}"
            raise DataError(f"{self.name} has no split {split!r}", known)
        return [
            _sample(split, number, label)
            for number in range(COUNTS[split])
            for label in range(len(SHAPES))
        ]

    def digest(self) -> str:
        """Move with any sample of any split."""
        return digest_of(
            [
                [
                    split,
                    s.id,
                    s.label,
                    s.domain,
                    s.captions,
                    s.image.fingerprint(self._files),
                ]
                for split in self.splits
                for s in self.samples(split)
            ]
        )


def _sample(split: str, number: int, label: int) -> Sample:
    shape, style = SHAPES[label], STYLES[number % len(STYLES)]
    generator = Key.of(0).fold(split, shape, number).generator()
    size = int(generator.integers(16, 32))
    left, top = (int(place) for place in generator.integers(2, SIDE - 2 - size, 2))
    red, green, blue = (int(value) for value in generator.integers(0, 180, 3))
    image = ShapeImage(shape, style, left, top, size, (red, green, blue))
    return Sample(
        f"{split}/{shape}-{number:03d}", image, label, style, (f"a {style} {shape}",)
    )
