"""What the sheets are drawn with: text that fits, badges, tiles, histograms. Refuses to crash on any script.

Pillow's built-in font holds plain Latin letters only. Accents are taken off; what is then left of other scripts
is drawn as an empty box, and stands in full on the page and in the tables.
"""

from __future__ import annotations

import io
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (33, 33, 33)
DIM: Colour = (110, 110, 110)
RULE: Colour = (214, 214, 214)
BARS: Colour = (189, 189, 189)
UPPER: Colour = (213, 94, 0)  # these two differ for every kind of colour vision (Okabe and Ito 2008)
LOWER: Colour = (0, 114, 178)
GOOD: Colour = (0, 121, 84)

JPEG_QUALITY = 88
_BINS = 60


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture with lines below it.

    Args:
        image: square thumbnail.
        lines: what stands below it, the first line in ink, the others dim.
        colour: of its frame.
    """

    image: Image
    lines: tuple[str, ...]
    colour: Colour = RULE


def blank(width: int, height: int) -> tuple[Image, ImageDraw]:
    """A white picture, and what draws on it."""
    from PIL import Image as Pillow
    from PIL import ImageDraw as Draw

    image = Pillow.new("RGB", (width, height), WHITE)
    return image, Draw.Draw(image)


def as_jpeg(image: Image) -> bytes:
    """The picture as JPEG, without subsampled colour, which would blur thin letters."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return buffer.getvalue()


@cache
def font(size: int) -> FreeTypeFont:
    """Pillow's own font at a size in pixels."""
    from PIL import ImageFont

    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)  # what Pillow gives for a size
    return found


def plain(text: str) -> str:
    """Text in one line with accents off, as far as the font can draw it.

    Example:
        >>> plain("Größe  d'un œuf")
        "Grosse d'un oeuf"
    """
    spelt = text.replace("ß", "ss").replace("œ", "oe").replace("æ", "ae").replace("ø", "o").replace("ł", "l")
    decomposed = unicodedata.normalize("NFKD", spelt)
    kept = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join("".join(c if c.isprintable() else " " for c in kept).split())


def fitted(text: str, size: int, width: int) -> str:
    """Text cut so that it is not wider than so many pixels."""
    text, letters = plain(text), font(size)
    if letters.getlength(text) <= width:
        return text

    def cut(length: int) -> str:
        return text[:length].rstrip() + "..."

    # The longest beginning that fits, by bisection: a text may be a whole page.
    longest = bisect_right(
        range(1, len(text)), float(width), key=lambda length: letters.getlength(cut(length))
    )
    return cut(longest) if longest else ""


def write(
    draw: ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    width: int,
    colour: Colour = INK,
    anchor: str = "la",
) -> int:
    """Draw text that fits into a width; returns the pixels that it takes."""
    shown = fitted(text, size, width)
    draw.text(at, shown, font=font(size), fill=colour, anchor=anchor)
    return round(font(size).getlength(shown))


def badge(draw: ImageDraw, at: tuple[int, int], text: str, colour: Colour, size: int = 14) -> int:
    """Draw a word on a rounded ground; returns its width."""
    width = round(font(size).getlength(text)) + 2 * size
    x, y = at
    draw.rounded_rectangle((x, y, x + width, y + round(1.7 * size)), radius=round(0.85 * size), fill=colour)
    draw.text((x + width // 2, y + round(0.85 * size)), text, font=font(size), fill=WHITE, anchor="mm")
    return width


def tiles(
    image: Image, draw: ImageDraw, at: tuple[int, int], shown: Sequence[Tile], side: int, gap: float
) -> None:
    """Draw tiles in a row, each line of their captions at one height; a broken gap is shared out."""
    from PIL import Image as Pillow

    left, y = at
    for place, tile in enumerate(shown):
        x = left + round(place * (side + gap))
        picture = tile.image
        if picture.size != (side, side):
            picture = picture.resize((side, side), Pillow.Resampling.LANCZOS)
        image.paste(picture, (x, y))
        draw.rectangle((x - 1, y - 1, x + side, y + side), outline=tile.colour)
        for number, line in enumerate(tile.lines):
            below = (x + side // 2, y + side + 5 + 15 * number)
            write(draw, below, line, 12, side + int(gap) - 2, DIM if number else INK, "ma")


def histogram(
    draw: ImageDraw,
    box: Box,
    values: NDArray[np.float32],
    upper: Sequence[float] = (),
    lower: Sequence[float] = (),
    *,
    size: int = 11,
) -> None:
    """Draw the distribution of a component's values, its heights as square roots so that thin tails are seen.

    Args:
        draw: what draws.
        box: where; the numbers of the axis stand inside it.
        values: (n,) in standard deviations.
        upper: values of images shown, marked below the axis.
        lower: the same of the other end.
        size: of the numbers, in pixels.
    """
    left, top, right, bottom = box
    axis = bottom - size - 10
    low = min(float(values.min()), -1.0, *upper, *lower)
    high = max(float(values.max()), 1.0, *upper, *lower)

    def place(value: float) -> int:
        return left + round((value - low) / (high - low) * (right - left))

    counts, edges = np.histogram(values, bins=min(_BINS, right - left), range=(low, high))
    heights = np.sqrt(counts / counts.max())
    for height, start, end in zip(heights, edges[:-1], edges[1:], strict=True):
        if height > 0:
            tall = max(1, round(height * (axis - top)))
            draw.rectangle(
                (place(start), axis - tall, max(place(start), place(end) - 1), axis - 1), fill=BARS
            )
    draw.line((left, axis, right, axis), fill=DIM)
    for marks, colour in ((lower, LOWER), (upper, UPPER)):
        for value in marks:
            draw.line((place(value), axis + 1, place(value), axis + 5), fill=colour, width=2)
    for value, anchor in ((low, "la"), (0.0, "ma"), (high, "ra")):
        close = anchor == "ma" and min(place(value) - left, right - place(value)) < 4 * size
        if not close:
            draw.text((place(value), axis + 8), f"{value:.1f}", font=font(size), fill=DIM, anchor=anchor)
