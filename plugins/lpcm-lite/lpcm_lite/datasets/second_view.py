"""A drawing seen again: smaller, off the centre, on a pale ground. Refuses to mirror or turn it, which changes names.

Both views of a drawing have the same name, so that a pair of towers is trained on more pictures of the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lpcm.keys import Key
from lpcm.store.digest import digest_of
from lpcm_lite.datasets.drawings import DRAWING, MARGIN, Glyph, VectorDrawing
from lpcm_lite.packages import release

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from lpcm.store.files import FileDigests

SMALLEST, LARGEST = 112, 192
"""Side of the picture that is seen again, in pixels."""

PALEST, DARKEST = 255, 176
"""Of the ground, each of red, green and blue."""

_KEY = Key.of(0).fold("drawn-names", "second view")
_SCHEME = 1


@dataclass(frozen=True)
class SecondView:
    """A drawing of the same size as ever, in which the first one is smaller and tinted by its ground.

    Args:
        drawing: seen before.
        name: by which size, place and ground are drawn.
    """

    drawing: VectorDrawing | Glyph
    name: str

    def open(self) -> Picture:
        """Render to RGB of 256 x 256 pixels; raises what the drawing raises."""
        from PIL import Image, ImageChops
        from PIL.Image import Resampling

        draws = _KEY.fold(self.name).generator()
        side = int(draws.integers(SMALLEST, LARGEST + 1))
        # Inside of what an encoder sees that cuts out the centre.
        left, top = (int(draws.integers(MARGIN, MARGIN + DRAWING - side + 1)) for _ in range(2))
        red, green, blue = (int(draws.integers(DARKEST, PALEST + 1)) for _ in range(3))
        ground = Image.new("RGB", (DRAWING + 2 * MARGIN,) * 2, (red, green, blue))
        white = Image.new("RGB", ground.size, "white")
        white.paste(self.drawing.open().resize((side, side), Resampling.BICUBIC), (left, top))
        return ImageChops.multiply(white, ground)

    def fingerprint(self, files: FileDigests) -> str:
        """Hex digest that moves with the drawing, its name, the rules above and Pillow."""
        rules = [_SCHEME, SMALLEST, LARGEST, PALEST, DARKEST, "pillow", release("pillow")]
        return digest_of([self.drawing.fingerprint(files), self.name, rules])
