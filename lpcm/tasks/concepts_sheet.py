"""Contact sheets: one for each component, and one of them all. Refuses to compute what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lpcm.tasks.concepts_canvas import (
    DIM,
    GOOD,
    INK,
    LOWER,
    RULE,
    UPPER,
    Tile,
    badge,
    blank,
    font,
    histogram,
    tiles,
    write,
)
from lpcm.tasks.concepts_images import STEPS

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

MARGIN, GAP = 24, 8
FEWEST_COLUMNS = 8
"""Width of a sheet in thumbnails at least: its text needs the room."""

SMALL = 56
"""Side of a thumbnail on the overview, pixels."""

SMALL_COLUMNS = 4
"""Thumbnails at each end on the overview."""

_CAPTION = 2 * 15 + 18
_HEADING = 26


@dataclass(frozen=True, eq=False)
class Picture:
    """A sample as a sheet shows it.

    Args:
        image: square thumbnail.
        value: of the component, in standard deviations.
        label: what the sample is called, for example its class.
    """

    image: Image
    value: float
    label: str


@dataclass(frozen=True, eq=False)
class Sheet:
    """All that the sheet of a component shows.

    Args:
        place: number of the component in the disentangler.
        identified: whether it was found again.
        numbers: a line of numbers.
        values: (n,) the component's values, standard deviations.
        highest, lowest: pictures of the ends, the most extreme first.
        steps: pictures along the component, upwards.
        quantiles: where each step is.
        upper_texts, lower_texts: a line on the nearest texts of each end; empty when the encoder reads no text.
    """

    place: int
    identified: bool
    numbers: str
    values: NDArray[np.float32]
    highest: tuple[Picture, ...]
    lowest: tuple[Picture, ...]
    steps: tuple[Picture, ...]
    quantiles: tuple[float, ...]
    upper_texts: str
    lower_texts: str


def sheet_size(side: int, images: int) -> tuple[int, int]:
    """Width and height of a component's sheet, pixels, for thumbnails of that side, so many at each end."""
    columns = max(images, FEWEST_COLUMNS)
    width = 2 * MARGIN + columns * side + (columns - 1) * GAP
    rows = 2 * (_HEADING + side + _CAPTION) + _HEADING + _step_side(width) + _CAPTION
    return width, 2 * MARGIN + _header_height() + rows


def draw_sheet(sheet: Sheet, side: int, images: int) -> Image:
    """Draw one component: numbers, histogram, both ends, and the strip along it.

    Args:
        sheet: what to show.
        side: of a thumbnail, pixels.
        images: room for so many at each end.
    """
    width, height = sheet_size(side, images)
    image, draw = blank(width, height)
    inner = width - 2 * MARGIN
    _header(draw, sheet, width)
    y = MARGIN + _header_height()
    for heading, texts, shown, colour in (
        ("highest", sheet.upper_texts, sheet.highest, UPPER),
        ("lowest", sheet.lower_texts, sheet.lowest, LOWER),
    ):
        used = write(draw, (MARGIN, y), heading, 16, inner, colour)
        write(draw, (MARGIN + used + 16, y + 2), texts, 14, inner - used - 16)
        y += _HEADING
        tiles(image, draw, (MARGIN, y), [_tile(p, colour) for p in shown], side, GAP)
        y += side + _CAPTION
    write(
        draw,
        (MARGIN, y),
        "along the component: at each quantile the image whose other components are nearest to their means",
        14,
        inner,
        DIM,
    )
    y += _HEADING
    strip = [
        Tile(p.image, (f"{100 * q:g} %", signed(p.value)), RULE)
        for p, q in zip(sheet.steps, sheet.quantiles, strict=True)
    ]
    step = _step_side(width)
    tiles(image, draw, (MARGIN, y), strip, step, (inner - step) / (len(STEPS) - 1) - step)
    return image


def draw_overview(title: str, note: str, sheets: Sequence[Sheet]) -> Image:
    """Draw many components, one a line: number, lowest, distribution, highest, nearest texts.

    Args:
        title: what they are of.
        note: a line below it.
        sheets: the components in their order.
    """
    ends = SMALL_COLUMNS * (SMALL + 4)
    columns = (MARGIN, MARGIN + 120, MARGIN + 120 + ends + 12, MARGIN + 120 + ends + 212)
    texts = columns[3] + ends + 12
    width = texts + 300 + MARGIN
    line = SMALL + 16
    top = MARGIN + 84
    image, draw = blank(width, top + line * len(sheets) + MARGIN)
    write(draw, (MARGIN, MARGIN), title, 24, width - 2 * MARGIN)
    write(draw, (MARGIN, MARGIN + 34), note, 14, width - 2 * MARGIN, DIM)
    for x, heading, colour in (
        (columns[1], "lowest", LOWER),
        (columns[2], "values, standard deviations", DIM),
        (columns[3], "highest", UPPER),
        (texts, "nearest texts (* stands out)", INK),
    ):
        write(draw, (x, top - 22), heading, 13, 280, colour)
    for number, sheet in enumerate(sheets):
        y = top + number * line
        draw.line((MARGIN, y - 2, width - MARGIN, y - 2), fill=RULE)
        y += 6
        write(draw, (MARGIN, y), str(sheet.place), 20, 100)
        badge(draw, (MARGIN, y + 30), *_verdict(sheet, brief=True), size=11)
        for x, pictures, colour in ((columns[1], sheet.lowest, LOWER), (columns[3], sheet.highest, UPPER)):
            small = [Tile(p.image, (), colour) for p in pictures[:SMALL_COLUMNS]]
            # The lowest grow towards the middle, where the distribution is.
            tiles(image, draw, (x, y), small, SMALL, 4)
        marks = ([p.value for p in shown[:SMALL_COLUMNS]] for shown in (sheet.highest, sheet.lowest))
        histogram(draw, (columns[2], y, columns[3] - 16, y + SMALL), sheet.values, *marks, size=10)
        write(draw, (texts, y + 4), sheet.upper_texts, 13, 300, UPPER)
        write(draw, (texts, y + 32), sheet.lower_texts, 13, 300, LOWER)
    return image


def signed(value: float) -> str:
    """A value with its sign and one digit; zero has none.

    Example:
        >>> signed(1.25), signed(-0.04)
        ('+1.2', '0.0')
    """
    text = f"{value:+.1f}"
    return text[1:] if float(text) == 0 else text


def _header_height() -> int:
    return 128


def _step_side(width: int) -> int:
    return (width - 2 * MARGIN - (len(STEPS) - 1) * GAP) // len(STEPS)


def _header(draw: ImageDraw, sheet: Sheet, width: int) -> None:
    plot = 380
    room = width - 2 * MARGIN - plot - 24
    title = f"component {sheet.place}"
    draw.text((MARGIN, MARGIN), title, font=font(28), fill=INK)
    badge(draw, (MARGIN + round(font(28).getlength(title)) + 16, MARGIN + 4), *_verdict(sheet))
    for number, line in enumerate(sheet.numbers.splitlines()):
        write(draw, (MARGIN, MARGIN + 44 + 20 * number), line, 14, room, DIM)
    marks = ([p.value for p in shown] for shown in (sheet.highest, sheet.lowest))
    box = (width - MARGIN - plot, MARGIN, width - MARGIN, MARGIN + 104)
    histogram(draw, box, sheet.values, *marks)


def _verdict(sheet: Sheet, *, brief: bool = False) -> tuple[str, tuple[int, int, int]]:
    if sheet.identified:
        return "identified", GOOD
    return ("not" if brief else "not identified"), DIM


def _tile(picture: Picture, colour: tuple[int, int, int]) -> Tile:
    return Tile(picture.image, (signed(picture.value), picture.label), colour)
