"""MPI3D (Gondal et al., 2019): a robot arm with an object, rendered and filmed, seven factors.

The four files are numpy archives of one array, which is read in place, picture by picture. Refuses a compressed
archive, whose pictures cannot be found without unpacking all of it, and arrays of Python objects.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from lpcm.datasets.grids import SIDE, Axis, Grid, GridDataset, PixelImage
from lpcm.errors import DataError, MissingError
from lpcm.plugin.truth import FactorKind

if TYPE_CHECKING:
    from lpcm.plugin.contracts import ImageSource

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a zip member: APPNOTE.TXT 4.3.7
_SHAPES = ("cone", "cube", "cylinder", "hexagonal prism", "pyramid", "sphere")
_REAL_SHAPES = ("coffee cup", "tennis ball", "croissant", "beer cup")


def _steps(count: int) -> tuple[float, ...]:
    return tuple(map(float, range(count)))


def _make_grid(colours: int, shapes: tuple[str, ...]) -> Grid:
    return Grid(
        (
            Axis("object_color", FactorKind.CATEGORICAL, _steps(colours)),
            Axis("object_shape", FactorKind.CATEGORICAL, _steps(len(shapes)), shapes),
            Axis("object_size", FactorKind.CATEGORICAL, _steps(2)),
            Axis("camera_height", FactorKind.CATEGORICAL, _steps(3)),
            Axis("background_color", FactorKind.CATEGORICAL, _steps(3)),
            # Two joints of the arm, in 40 steps each; they do not close to a turn.
            Axis("horizontal_axis", FactorKind.CONTINUOUS, _steps(40)),
            Axis("vertical_axis", FactorKind.CONTINUOUS, _steps(40)),
        ),
        label="object_shape",
    )


class Mpi3d(GridDataset):
    """MPI3D under ``ROOT/mpi3d``; label: the object's shape. ``mpi3d:toy,20000`` names a variant and a count."""

    known_as = "mpi3d"
    folders = ("mpi3d", "MPI3D")
    parts = ()
    home = "github.com/rr-learning/disentanglement_dataset"
    terms = "CC BY 4.0"
    variants = ("real", "realistic", "toy", "complex")
    files: ClassVar[dict[str, tuple[str, ...]]] = {
        "real": ("mpi3d_real",),
        "realistic": ("mpi3d_realistic",),
        "toy": ("mpi3d_toy",),
        "complex": ("mpi3d_real_complex", "real3d_complicated_shapes_ordered"),
    }
    tree = """
├── mpi3d_real.npz               (mpi3d:real, and mpi3d; or the .npy in it)
├── mpi3d_realistic.npz          (mpi3d:realistic)
├── mpi3d_toy.npz                (mpi3d:toy)
└── mpi3d_real_complex.npz       (mpi3d:complex)
"""

    def _grid(self) -> Grid:
        return _make_grid(4, _REAL_SHAPES) if self.variant == "complex" else _make_grid(6, _SHAPES)

    def _images(self, folder: Path, rows: list[int]) -> Sequence[ImageSource]:
        names = [f"{name}{suffix}" for name in self.files[self.variant] for suffix in (".npz", ".npy")]
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise MissingError(
                f"{self.name}: {folder} has no {' or '.join(names)}. Expected:\n{self._drawn()}",
                self._how_to_get(),
            )
        start = find_array(path, self._grid().size)
        size = SIDE * SIDE * 3
        return [PixelImage(path, start + row * size) for row in rows]


def find_array(path: Path, count: int) -> int:
    """Byte at which the pictures begin in a ``.npy`` file, or in the ``images`` of an uncompressed ``.npz``.

    Args:
        path: the file.
        count: pictures that it should hold.

    Raises:
        DataError: when it is damaged, compressed, or holds another array.
    """
    try:
        with path.open("rb") as file:
            start = 0 if path.suffix == ".npy" else _find_member(path, file)
            file.seek(start)
            shape, offset = _read_header(file)
            end = file.seek(0, 2)
    except (OSError, ValueError, zipfile.BadZipFile, struct.error) as error:
        raise DataError(
            f"{path} cannot be read as a numpy file ({error})",
            "The download may have been cut off: fetch it anew.",
        ) from error
    pixels = count * SIDE * SIDE * 3
    size = 1
    for side in shape:
        size *= side
    if size != pixels or shape[-3:] != (SIDE, SIDE, 3):
        raise DataError(
            f"{path} holds an array of shape {shape}: expected {count:,} pictures of {SIDE} x {SIDE} x 3"
        )
    if end < offset + pixels:
        raise DataError(
            f"{path} ends after {end:,} bytes of {offset + pixels:,} or more",
            "The download may have been cut off: fetch it anew.",
        )
    return offset


def _find_member(path: Path, file: BinaryIO) -> int:
    """Byte at which ``images.npy`` begins in an archive."""
    with zipfile.ZipFile(file) as archive:
        if "images.npy" not in archive.namelist():
            raise DataError(
                f"{path} has no array images: it has {', '.join(archive.namelist()) or 'nothing'}"
            )
        info = archive.getinfo("images.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise DataError(
            f"{path} is compressed: its pictures cannot be read one by one",
            f"Unpack it once: python -m zipfile -e {path} {path.parent}, and rename images.npy to {path.stem}.npy",
        )
    file.seek(info.header_offset)
    header = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    name_length, extra_length = header[-2:]
    return info.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], int]:
    """Shape of a numpy array of bytes, and where its data begin. Raises ``ValueError`` for another array."""
    from numpy.lib import format as numpy_format

    version = numpy_format.read_magic(file)
    read = numpy_format.read_array_header_1_0 if version == (1, 0) else numpy_format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.str != "|u1" or fortran:
        raise ValueError(
            f"an array of {dtype}{' in Fortran order' if fortran else ''}: expected uint8 in C order"
        )
    return shape, file.tell()
