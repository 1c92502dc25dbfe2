"""Images that are drawn when they are opened: SVG files and glyphs of fonts. Refuses to keep pixels.

Both leave a white margin, so that an encoder that scales the shorter side to 256 and cuts out the centre of
224 pixels sees the whole drawing at the size at which it was rendered.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from lpcm.store.digest import digest_of
from lpcm_lite.packages import release

if TYPE_CHECKING:
    from PIL.Image import Image

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

    def open(self) -> Image:
        """Render to RGB of 256 x 256 pixels. Raises ``ValueError`` when it is not an SVG, ``OSError`` when not there."""
        from PIL import Image as pillow
        from PIL import ImageOps
        from resvg_py import svg_to_bytes

        png = svg_to_bytes(
            svg_string=self.path.read_text(encoding="utf-8"),
            width=DRAWING,
            height=DRAWING,
            background="#ffffff",
            skip_system_fonts=True,  # what is drawn must not depend on the fonts of the machine
        )
        with pillow.open(BytesIO(png)) as image:
            return ImageOps.expand(image.convert("RGB"), border=MARGIN, fill="white")

    def fingerprint(self, files: FileDigests) -> str:
        """Hex digest that moves with the file, the renderer and the sizes."""
        return digest_of([files.digest(self.path), "resvg-py", release("resvg-py"), DRAWING, MARGIN])
