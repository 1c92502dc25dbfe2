"""Thumbnails of samples for a task's exhibits. Refuses to be anything that is scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lpcm.errors import DataError
from lpcm.plugin.contracts import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

_BACKGROUND = (255, 255, 255)  # behind transparent pixels and beside images that are not square


def thumbnail(sample: Sample, size: int) -> Image:
    """The whole image inside a white square of size x size pixels, RGB.

    Raises:
        DataError: when the sample has no image or it cannot be read.
    """
    from PIL import Image as Pillow
    from PIL import ImageOps

    if sample.image is None:
        raise DataError(f"sample {sample.id!r} has no image, only features")
    try:
        image = ImageOps.exif_transpose(sample.image.open()).convert("RGBA")
    except (OSError, ValueError) as error:
        raise DataError(f"image {sample.id!r} cannot be read: {error}") from error
    flat = Pillow.new("RGBA", image.size, (*_BACKGROUND, 255))
    flat.alpha_composite(image)
    return ImageOps.pad(flat.convert("RGB"), (size, size), Pillow.Resampling.LANCZOS, color=_BACKGROUND)


def thumbnails(samples: Sequence[Sample], ids: Sequence[str], size: int) -> list[Image]:
    """Thumbnails of the named samples, in the order of the names.

    Raises:
        DataError: when a name is not among the samples, or an image cannot be read.
    """
    by_id = {sample.id: sample for sample in samples}
    unknown = [name for name in ids if name not in by_id]
    if unknown:
        raise DataError(f"{len(unknown)} samples are not on the training side, first {unknown[0]!r}")
    return [thumbnail(by_id[name], size) for name in ids]
