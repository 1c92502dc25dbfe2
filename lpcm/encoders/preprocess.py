"""Preprocessing of images: a ``Preprocess`` record becomes a function from a Pillow image to an array.

For RGB images the result is that of torchvision's resize, crop, ``ToTensor`` and ``Normalize``, to the byte.
It refuses images whose values have no fixed range (mode ``F``): what is white in them is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lpcm.errors import UsageError, nearest
from lpcm.plugin.contracts import Preprocess, Resize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image, Resampling

_ORIENTATION = 0x0112  # EXIF tag
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
INTERPOLATIONS = ("bicubic", "bilinear", "lanczos", "nearest")


@dataclass(frozen=True)
class Transform:
    """The function that a ``Preprocess`` record describes. It can be pickled to worker processes.

    Pixels stay uint8 until the end: ``pixels`` is what crosses a process border, ``table`` maps each of its
    256 values to the normalised float32, so that both ways give the same bits.

    Example:
        >>> from PIL import Image
        >>> Transform(Preprocess(size=8))(Image.new("RGB", (97, 61), "white")).shape
        (3, 8, 8)
    """

    record: Preprocess

    def __post_init__(self) -> None:
        if self.record.interpolation not in INTERPOLATIONS:
            raise UsageError(
                f"interpolation {self.record.interpolation!r}: expected one of {', '.join(INTERPOLATIONS)}",
                nearest(self.record.interpolation, INTERPOLATIONS),
            )
        if self.record.size < 1 or (self.record.resize_to is not None and self.record.resize_to < 1):
            raise UsageError(
                f"size {self.record.size}, resize_to {self.record.resize_to}: expected 1 or more pixels"
            )

    def __call__(self, image: Image) -> NDArray[np.float32]:
        """Normalised pixels, (3, size, size) float32.

        Raises:
            OSError, ValueError: when the image cannot be decoded.
        """
        import numpy as np

        pixels, table = self.pixels(image), self.table()
        return np.stack([table[channel][pixels[:, :, channel]] for channel in range(3)])

    def pixels(self, image: Image) -> NDArray[np.uint8]:
        """Pixels before normalisation, (size, size, 3) uint8."""
        import numpy as np

        return np.array(self._square(rgb(image, self.record.background)), dtype=np.uint8)

    def table(self) -> NDArray[np.float32]:
        """Normalised value of each byte in each channel, (3, 256) float32."""
        import numpy as np

        # Single precision at each step, as ToTensor and Normalize do it: the same bits, not only close.
        share = np.arange(256, dtype=np.float32) / np.float32(255)
        mean = np.asarray(self.record.mean, dtype=np.float32)[:, None]
        std = np.asarray(self.record.std, dtype=np.float32)[:, None]
        return np.asarray((share[None, :] - mean) / std, dtype=np.float32)

    def _square(self, image: Image) -> Image:
        size = self.record.size
        width, height = image.size
        if self.record.resize is Resize.SQUASH:
            return self._resized(image, size, size)
        if self.record.resize is Resize.SHORTEST:
            short = self.record.resize_to or size
            if width <= height:
                width, height = short, int(short * height / width)
            else:
                width, height = int(short * width / height), short
        else:
            ratio = max(width, height) / size
            width, height = max(1, round(width / ratio)), max(1, round(height / ratio))
        return self._cut_or_pad(self._resized(image, width, height))

    def _resized(self, image: Image, width: int, height: int) -> Image:
        return image if image.size == (width, height) else image.resize((width, height), self._filter)

    @property
    def _filter(self) -> Resampling:
        from PIL.Image import Resampling

        return Resampling[self.record.interpolation.upper()]

    def _cut_or_pad(self, image: Image) -> Image:
        from PIL import Image as Pillow

        size = self.record.size
        if image.width < size or image.height < size:
            wide, high = max(size, image.width), max(size, image.height)
            padded = Pillow.new("RGB", (wide, high), self.record.background)
            padded.paste(image, ((wide - image.width) // 2, (high - image.height) // 2))
            image = padded
        if image.size == (size, size):
            return image
        # round() rounds halves to even; torchvision's CenterCrop does the same
        left, top = round((image.width - size) / 2), round((image.height - size) / 2)
        return image.crop((left, top, left + size, top + size))


def rgb(image: Image, background: tuple[int, int, int] = (255, 255, 255)) -> Image:
    """Convert an image to what a viewer shows: upright, opaque on ``background``, three channels of 8 bits.

    Raises:
        ValueError: for mode ``F``, whose range is not fixed, and for modes that Pillow cannot convert.
    """
    image = _upright(image)
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode == "F":
        raise ValueError(
            "image of mode F (32-bit floats): what is white in it is unknown; store it as 8 or 16 bits"
        )
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        from PIL import Image as Pillow

        straight = image.convert("LA") if image.mode == "La" else image  # Pillow knows no other way from La
        layer = straight.convert("RGBA")
        canvas = Pillow.new("RGBA", layer.size, (*background, 255))
        return Pillow.alpha_composite(canvas, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image) -> Image:
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation == 1:
        return image
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _eight_bits(image: Image) -> Image:
    # Pillow's own convert() clips 16-bit values to 255: nearly every pixel would turn white.
    # Mode I is how Pillow opens 16-bit PNG and PGM files in some versions.
    import numpy as np
    from PIL import Image as Pillow

    values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return Pillow.fromarray(((values + 128) // 257).astype(np.uint8))
