"""Where images come from: a file, a record inside a file, or bytes in memory. Refuses to keep decoded pixels.

Sources are pickled to worker processes, so they hold a path or raw bytes; Pillow is imported on ``open``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lpcm.errors import DataError
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lpcm.plugin.contracts import ImageSource
    from lpcm.store.files import FileDigests

_SUFFIXES = ("bmp gif jfif jpe jpeg jpg", "pbm pgm png pnm ppm", "tif tiff webp")
IMAGE_SUFFIXES = frozenset(f".{name}" for line in _SUFFIXES for name in line.split())
"""Suffixes, in lower case, of the files that count as images."""


def is_image_name(name: str) -> bool:
    """Whether a file of this name counts as an image: by its suffix, in any case, and not hidden."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in IMAGE_SUFFIXES and not name.startswith(".")


@dataclass(frozen=True)
class FileImage:
    """An image that is a file of its own.

    Args:
        path: the file; any format that Pillow reads.
    """

    path: Path

    def open(self) -> Image:
        """Decode the whole file. Raises ``OSError`` or ``ValueError`` that names it when it is corrupt."""
        import io

        from PIL import Image

        try:
            # Read whole: the file is closed at once, and a truncated one is found here, not at a later use.
            image = Image.open(io.BytesIO(self.path.read_bytes()))
            image.load()
        except OSError as error:
            if error.filename is not None:  # the system's own message: it names the file
                raise
            raise OSError(f"{self.path}: not a readable image ({_reason(error)})") from error
        except Exception as error:  # Pillow's parsers also raise SyntaxError, struct.error, a bomb error ...
            raise ValueError(f"{self.path}: not a readable image ({_reason(error)})") from error
        return image

    def fingerprint(self, files: FileDigests) -> str:
        """SHA-256 of the file's bytes."""
        return fingerprints([self], files)[0]


@dataclass(frozen=True)
class PackedImage:
    """Raw pixels inside a larger file, as the binary CIFAR files hold them.

    Args:
        path: the file.
        offset: byte at which the pixels begin.
        shape: (channels, height, width), one byte a value, channel by channel.
    """

    path: Path
    offset: int
    shape: tuple[int, int, int]

    def open(self) -> Image:
        """Read the pixels: mode L for one channel, RGB for three. Raises ``OSError`` when it is cut off."""
        import numpy as np
        from PIL import Image

        size = self.shape[0] * self.shape[1] * self.shape[2]
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(size)
        if len(data) != size:
            raise OSError(
                f"{self.path}: {len(data)} of {size} bytes at offset {self.offset}: the file is cut off"
            )
        pixels = np.frombuffer(data, np.uint8).reshape(self.shape).transpose(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if self.shape[0] == 1 else pixels))

    def fingerprint(self, files: FileDigests) -> str:
        """Digest of the file's SHA-256 and the place in it."""
        return fingerprints([self], files)[0]


@dataclass(frozen=True)
class ArrayImage:
    """A small image held as bytes.

    Args:
        pixels: one byte a value, row by row.
        shape: (height, width) for grey, or (height, width, 3) for RGB.

    Example:
        >>> ArrayImage(bytes(range(6)), (2, 3)).open().size
        (3, 2)
    """

    pixels: bytes = field(repr=False)
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        size = 1
        for side in self.shape:
            size *= side
        if len(self.pixels) != size or len(self.shape) not in (2, 3) or self.shape[2:] not in ((), (3,)):
            raise ValueError(
                f"{len(self.pixels)} bytes for shape {self.shape}: "
                "expected (height, width) or (height, width, 3), one byte a value"
            )

    @classmethod
    def of(cls, array: NDArray[np.uint8]) -> ArrayImage:
        """The image of a uint8 array, (height, width) or (height, width, 3).

        Raises:
            ValueError: for another type or shape.
        """
        if array.dtype.name != "uint8":
            raise ValueError(f"an image of {array.dtype} values: expected uint8")
        return cls(array.tobytes(), tuple(array.shape))

    def open(self) -> Image:
        """The image, mode L or RGB."""
        import numpy as np
        from PIL import Image

        return Image.fromarray(np.frombuffer(self.pixels, np.uint8).reshape(self.shape))

    def fingerprint(self, files: FileDigests) -> str:
        """Digest of pixels and shape."""
        return digest_of(["array", self.shape, hashlib.sha256(self.pixels).hexdigest()])


def fingerprints(images: Sequence[ImageSource], files: FileDigests) -> list[str]:
    """Fingerprints of many images, each file read at most once and remembered in one transaction.

    Args:
        images: sources of any kind, also those of plugins.
        files: digests of files, remembered between runs.

    Returns:
        One hex digest an image, in their order; the same as ``image.fingerprint(files)``.

    Raises:
        DataError: when a file cannot be read.
    """
    paths = list(dict.fromkeys(i.path for i in images if isinstance(i, FileImage | PackedImage)))
    try:
        known = dict(zip(paths, files.digests(paths), strict=True))
    except OSError as error:
        raise DataError(
            f"{error.filename}: cannot be read ({error.strerror})",
            "Restore the file or remove it from the dataset.",
        ) from error
    found = []
    for image in images:
        if isinstance(image, FileImage):
            found.append(known[image.path])
        elif isinstance(image, PackedImage):
            place = f"packed {known[image.path]} {image.offset} {image.shape}"
            found.append(hashlib.sha256(place.encode()).hexdigest())
        else:
            found.append(image.fingerprint(files))
    return found


def _reason(error: Exception) -> str:
    # Pillow's "cannot identify image file" ends with the address of a buffer, which differs between runs.
    text = str(error).partition(" <_io.")[0]
    return text or type(error).__name__
