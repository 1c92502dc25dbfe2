"""Images that are drawn when they are opened: SVG files and glyphs of fonts. Refuses to keep pixels.

Both leave a white margin, so that an encoder that scales the shorter side to 256 and cuts out the centre of
224 pixels sees the whole drawing at the size at which it was rendered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from lpcm.store.digest import digest_of
from lpcm_lite.packages import release

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageFont import FreeTypeFont

    from lpcm.store.files import FileDigests

DRAWING = 224
"""Side of the square that the drawing fills, in pixels."""

MARGIN = 16
"""White on each side of it, in pixels: 224 + 2 * 16 = 256."""


@dataclass(frozen=True)
class VectorDrawing:
    """An SVG file, rendered by resvg on white.

    Args:
        path: of a square drawing.
    """

    path: Path

    def open(self) -> Picture:
        """Render to RGB of 256 x 256 pixels.

        Raises:
            ValueError: when it is not an SVG.
            OSError: when it is not there.
        """
        from PIL import Image, ImageOps
        from resvg_py import svg_to_bytes

        png = svg_to_bytes(
            svg_string=self.path.read_text(encoding="utf-8"),
            width=DRAWING,
            height=DRAWING,
            background="#ffffff",
            skip_system_fonts=True,  # what is drawn must not depend on the fonts of the machine
        )
        with Image.open(BytesIO(png)) as image:
            return ImageOps.expand(image.convert("RGB"), border=MARGIN, fill="white")

    def fingerprint(self, files: FileDigests) -> str:
        """Hex digest that moves with the file, the renderer and the sizes."""
        return digest_of([files.digest(self.path), "resvg-py", release("resvg-py"), DRAWING, MARGIN])


@dataclass(frozen=True)
class Glyph:
    """A character of a font, black on white, drawn by Pillow.

    Args:
        path: of a TrueType font.
        point: code point of the character.
    """

    path: Path
    point: int

    def open(self) -> Picture:
        """Render to RGB of 256 x 256 pixels; a glyph that is too wide for its square is made smaller.

        Raises:
            ValueError: when the font has no ink at this code point.
            OSError: when the font cannot be read.
        """
        from PIL import Image, ImageDraw

        text = chr(self.point)
        font = _font(self.path, DRAWING)
        left, top, right, bottom = font.getbbox(text)
        if right <= left or bottom <= top:
            raise ValueError(f"{self.path.name} has no ink at U+{self.point:04X}")
        if (widest := max(right - left, bottom - top)) > DRAWING:
            font = _font(self.path, int(DRAWING * DRAWING / widest))
            left, top, right, bottom = font.getbbox(text)
        side = DRAWING + 2 * MARGIN
        canvas = Image.new("L", (side, side), 255)
        corner = ((side - left - right) / 2, (side - top - bottom) / 2)
        ImageDraw.Draw(canvas).text(corner, text, fill=0, font=font)
        return canvas.convert("RGB")

    def fingerprint(self, files: FileDigests) -> str:
        """Hex digest that moves with the font, the code point, the renderer and the sizes."""
        return digest_of([files.digest(self.path), self.point, "pillow", release("pillow"), DRAWING, MARGIN])


@lru_cache(maxsize=32)
def _font(path: Path, size: int) -> FreeTypeFont:
    # Opening a font reads a megabyte: a worker process keeps the few that it draws from.
    from PIL import ImageFont

    # The basic layout is in every build of Pillow; a single glyph needs no other.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
