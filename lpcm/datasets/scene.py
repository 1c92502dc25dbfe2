"""Pictures of one flat object, drawn from eight numbers that say all of the picture. Refuses hidden chance.

What makes the factors independent in the picture, not only in the table:

- every shape has the same area at the same size, so that size cannot be read off the shape;
- colours have one lightness and one chroma in OKLab, so that hue changes nothing but hue;
- each texture is half light, half dark, so that it does not change the mean brightness;
- a white mark on one side of each shape makes its rotation visible over the full turn, even of a circle;
- the object never reaches the border.

Source of OKLab: Ottosson, A perceptual color space for image processing, 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import cache
from typing import TYPE_CHECKING

from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from lpcm.store.files import FileDigests

Point = tuple[float, float]

SIDE = 112
"""Pixels a side: half of what most encoders read."""
_DRAWING = 2
"""Rises with any change of the drawing: it is part of each fingerprint."""
_FINE = 8  # drawn this much larger, then averaged: Pillow's polygons have hard edges
_LIGHTNESS, _CHROMA = (
    0.75,
    0.125,
)  # in gamut for every hue: the least chroma that is not is 0.127, at 195 degrees
_CONTRAST = 0.05  # half of the step in OKLab lightness between the two tones of a texture
_PERIOD = 16  # pixels after which a texture repeats; divides SIDE, so that all of it is there
_MARK = 0.22  # radius of the mark, for a shape with the area of the unit circle
_ARC = 96  # corners of a round outline: at the largest size they stand off the circle by less than 1/50 pixel


@dataclass(frozen=True)
class Scene:
    """All that is in a picture; also its image source.

    Args:
        shape: one of ``SHAPES``.
        hue: of the object, OKLab hue angle in radians.
        size: radius of the circle with the object's area, as a share of the picture's side.
        x, y: centroid of the object, as shares of the side from the left and from the top.
        rotation: clockwise, in radians; 0 has the mark at the top, of a heart and a crescent at bottom and left.
        brightness: of the background, OKLab lightness in [0, 1].
        texture: of the background, one of ``TEXTURES``.

    Example:
        >>> Scene("star", 0.5, 0.15, 0.5, 0.5, 0.0, 0.4, "dotted").open().size
        (112, 112)
    """

    shape: str
    hue: float
    size: float
    x: float
    y: float
    rotation: float
    brightness: float
    texture: str

    def open(self) -> Image:
        """Draw the picture, RGB."""
        from PIL import Image

        tones = [_grey(self.brightness + step) for step in (-_CONTRAST, _CONTRAST)]
        if self.texture == "plain":
            picture = Image.new("RGB", (SIDE, SIDE), _grey(self.brightness))
        else:
            dark, light = (Image.new("RGB", (SIDE, SIDE), tone) for tone in tones)
            picture = Image.composite(light, dark, _pattern(self.texture))
        outline = _outline(self.shape)
        for corners, colour in ((outline.corners, _colour(self.hue)), (outline.mark, (255, 255, 255))):
            mask, box = _mask([self._place(point) for point in corners])
            picture.paste(colour, box, mask)
        return picture

    def fingerprint(self, files: FileDigests) -> str:
        """Digest of the numbers and of the way of drawing."""
        return digest_of(["scene", _DRAWING, *astuple(self)])

    def caption(self) -> str:
        """The picture in words.

        Example:
            >>> Scene("star", 0.5, 0.12, 0.4, 0.4, 0.0, 0.25, "dotted").caption()
            'a small red star at the top left of a dark dotted background'
        """
        degrees = math.degrees(self.hue)
        colour = min(_HUES, key=lambda name: abs((degrees - _HUES[name] + 180) % 360 - 180))
        size = ("small", "medium-sized", "large")[_third(self.size, 0.10, 0.18)]
        across = ("left", "", "right")[_third(self.x, 0.34, 0.66)]
        down = ("top", "", "bottom")[_third(self.y, 0.34, 0.66)]
        place = f"at the {' '.join(filter(None, (down, across)))}" if down or across else "in the middle"
        ground = ("dark", "grey", "light")[_third(self.brightness, 0.2, 0.6)]
        return f"a {size} {colour} {self.shape} {place} of a {ground} {self.texture} background"

    def _place(self, point: Point) -> Point:
        """From the outline's own coordinates to pixels."""
        x, y = _turned(point, self.rotation)
        return (self.x + self.size * x) * SIDE, (self.y + self.size * y) * SIDE


# Hue angles in OKLab, in degrees, at the middle of what English calls so.
_HUES = {
    "pink": 355.0,
    "red": 25.0,
    "orange": 60.0,
    "yellow": 105.0,
    "green": 145.0,
    "teal": 195.0,
    "blue": 255.0,
    "purple": 305.0,
}


@dataclass(frozen=True)
class _Outline:
    """A shape with the area of the unit circle, its centroid at 0, y pointing down; and its mark, a small disc."""

    corners: tuple[Point, ...]
    mark: tuple[Point, ...]


def _arc(radius: float, start: float, stop: float, centre: Point = (0.0, 0.0)) -> list[Point]:
    angles = [start + (stop - start) * step / _ARC for step in range(_ARC)]
    return [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]


def _circle() -> list[Point]:
    return _arc(1.0, 0.0, math.tau)


def _square() -> list[Point]:
    return [(-1, -1), (1, -1), (1, 1), (-1, 1)]


def _triangle() -> list[Point]:
    return [_turned((0, -1), step * math.tau / 3) for step in range(3)]


def _star() -> list[Point]:
    return [_turned((0, -0.5 if step % 2 else -1), step * math.tau / 10) for step in range(10)]


def _heart() -> list[Point]:
    # A sextic; see Weisstein, Heart Curve, MathWorld, eq. 6.
    turns = [step * math.tau / _ARC for step in range(_ARC)]
    return [
        (
            16 * math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)),
        )
        for t in turns
    ]


def _arrow() -> list[Point]:
    right = [(0.0, -1.2), (0.9, -0.2), (0.4, -0.2), (0.4, 1.1)]
    return right + [(-x, y) for x, y in reversed(right[1:])]


def _crescent() -> list[Point]:
    # The unit disc without a disc of radius r whose centre is s to the right: they cross at (c, +-sqrt(1 - c^2)).
    r, s = 0.8, 0.55
    c = (1 - r * r + s * s) / (2 * s)
    outer = math.acos(c)
    inner = math.acos((c - s) / r)
    return _arc(1.0, outer, math.tau - outer) + _arc(r, math.tau - inner, inner, (s, 0.0))


def _cross() -> list[Point]:
    h = 0.38
    arm = [(-h, -h), (-h, -1.0), (h, -1.0)]
    return [_turned(point, turn * math.tau / 4) for turn in range(4) for point in arm]


# Each with where its mark is, in the same coordinates.
_SHAPES: dict[str, tuple[Callable[[], list[Point]], Point]] = {
    "circle": (_circle, (0, -0.55)),
    "square": (_square, (0, -0.55)),
    "triangle": (_triangle, (0, -0.35)),
    "star": (_star, (0, -0.4)),
    "heart": (_heart, (0, 7)),
    "arrow": (_arrow, (0, -0.5)),
    "crescent": (_crescent, (-0.62, 0)),
    "cross": (_cross, (0, -0.6)),
}
SHAPES = tuple(_SHAPES)
TEXTURES = ("plain", "striped", "checked", "dotted")


@cache
def _outline(shape: str) -> _Outline:
    draw, mark = _SHAPES[shape]
    corners = draw()
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    # Area and centroid of a polygon (shoelace formula).
    crossed = [ax * by - bx * ay for (ax, ay), (bx, by) in edges]
    area = sum(crossed) / 2
    cx = sum((a[0] + b[0]) * w for (a, b), w in zip(edges, crossed, strict=True)) / (6 * area)
    cy = sum((a[1] + b[1]) * w for (a, b), w in zip(edges, crossed, strict=True)) / (6 * area)
    scale = math.sqrt(math.pi / abs(area))
    moved = tuple(((x - cx) * scale, (y - cy) * scale) for x, y in corners)
    centre = ((mark[0] - cx) * scale, (mark[1] - cy) * scale)
    return _Outline(moved, tuple(_arc(_MARK, 0.0, math.tau, centre)))


def _turned(point: Point, angle: float) -> Point:
    x, y = point
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


def _mask(corners: list[Point]) -> tuple[Image, tuple[int, int, int, int]]:
    """How much of each pixel lies in a polygon, and the box of pixels around it that the mask is for."""
    from PIL import Image, ImageDraw

    xs, ys = zip(*corners, strict=True)
    left, top = math.floor(min(xs)) - 1, math.floor(min(ys)) - 1
    right, bottom = math.ceil(max(xs)) + 1, math.ceil(max(ys)) + 1
    # Only the box is drawn finely: of all the picture it would take three times as long.
    mask = Image.new("L", ((right - left) * _FINE, (bottom - top) * _FINE))
    fine = [((x - left) * _FINE, (y - top) * _FINE) for x, y in corners]
    ImageDraw.Draw(mask).polygon(fine, fill=255)
    return mask.reduce(_FINE), (left, top, right, bottom)


@cache
def _pattern(texture: str) -> Image:
    """Where the lighter tone is, 255, and where the darker is, 0: half of the picture each."""
    from PIL import Image, ImageDraw

    period, side = _PERIOD * _FINE, SIDE * _FINE
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    half, starts = period // 2, range(0, side, period)
    if texture == "striped":
        for x in starts:
            draw.rectangle((x, 0, x + half - 1, side), fill=255)
    elif texture == "checked":
        for x in starts:
            for y in starts:
                for shift in (0, half):
                    corner = (x + shift, y + shift)
                    draw.rectangle((*corner, corner[0] + half - 1, corner[1] + half - 1), fill=255)
    else:
        radius = period / math.sqrt(math.tau)  # pi r^2 = period^2 / 2
        for x in starts:
            for y in starts:
                box = (x + half - radius, y + half - radius, x + half + radius, y + half + radius)
                draw.ellipse(box, fill=255)
    return mask.reduce(_FINE)


def _grey(lightness: float) -> tuple[int, int, int]:
    level = _coded(lightness**3)  # OKLab without a and b: each linear channel is L^3
    return level, level, level


def _third(value: float, low: float, high: float) -> int:
    return min(2, max(0, int(3 * (value - low) / (high - low))))


def _colour(hue: float) -> tuple[int, int, int]:
    """OKLab to sRGB with Ottosson's two matrices."""
    a, b = _CHROMA * math.cos(hue), _CHROMA * math.sin(hue)
    l = (_LIGHTNESS + 0.3963377774 * a + 0.2158037573 * b) ** 3
    m = (_LIGHTNESS - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s = (_LIGHTNESS - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _coded(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
        _coded(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
        _coded(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s),
    )


def _coded(linear: float) -> int:
    """A linear channel in [0, 1] as an sRGB byte (IEC 61966-2-1)."""
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(255 * min(1.0, max(0.0, value)))
