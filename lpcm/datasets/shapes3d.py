"""3D Shapes (Burgess and Kim, 2018): 480,000 pictures of one object in a room, six factors. Needs h5py.

The file's own table of factors is compared with the grid that its authors document, so that another file of that
name is not taken for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpcm.datasets.grids import SIDE, Axis, Grid, GridDataset
from lpcm.errors import DataError, MissingError
from lpcm.plugin.truth import FactorKind
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from lpcm.plugin.contracts import ImageSource
    from lpcm.store.files import FileDigests

FILE = "3dshapes.h5"
_SHAPES = ("cube", "cylinder", "sphere", "capsule")
# The file says hues from 0 to 0.9 of a turn, the scale from 0.75 to 1.25, the orientation in degrees.
_HUES = tuple(math.tau * step / 10 for step in range(10))


def _evenly(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(low + (high - low) * step / (count - 1) for step in range(count))


GRID = Grid(
    (
        Axis("floor_hue", FactorKind.ANGLE, _HUES),
        Axis("wall_hue", FactorKind.ANGLE, _HUES),
        Axis("object_hue", FactorKind.ANGLE, _HUES),
        Axis("scale", FactorKind.CONTINUOUS, _evenly(0.75, 1.25, 8)),
        Axis("shape", FactorKind.CATEGORICAL, (0, 1, 2, 3), _SHAPES),
        # Continuous: its 60 degrees do not close to a turn.
        Axis("orientation", FactorKind.CONTINUOUS, _evenly(-30, 30, 15)),
    ),
    label="shape",
)


class Shapes3D(GridDataset):
    """3D Shapes under ``ROOT/3dshapes``; label: the object's shape."""

    known_as = "shapes3d"
    folders = ("3dshapes", "shapes3d", "3d-shapes")
    parts = (FILE,)
    home = "github.com/google-deepmind/3d-shapes"
    terms = "Apache-2.0"
    tree = f"""
└── {FILE}                  (images: (480000, 64, 64, 3) uint8; labels: (480000, 6))
"""

    def _grid(self) -> Grid:
        return GRID

    def _images(self, folder: Path, rows: list[int]) -> Sequence[ImageSource]:
        _check(folder / FILE, self._grid())
        return [H5Image(folder / FILE, row) for row in rows]


@dataclass(frozen=True)
class H5Image:
    """A row of the array ``images`` in an HDF5 file.

    Args:
        path: the file.
        row: which.
    """

    path: Path
    row: int

    def open(self) -> Image:
        """Read the picture. Raises ``OSError`` when the file is damaged."""
        from PIL import Image

        return Image.fromarray(_opened(self.path)["images"][self.row])

    def fingerprint(self, files: FileDigests) -> str:
        """Digest of the file's SHA-256 and the row."""
        return digest_of(["h5", files.digest(self.path), self.row])


@lru_cache(maxsize=2)  # a worker reads one file thousands of times
def _opened(path: Path) -> Any:
    return _h5py().File(path, "r")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingError(
            f"{FILE} is read with h5py, which is not installed", "Type: pip install 'lpcm[hdf5]'"
        ) from error
    return h5py


def _check(path: Path, grid: Grid) -> None:
    """Check that the file holds the pictures of the grid, in its order."""
    import numpy as np

    h5py = _h5py()
    expected = {"images": (grid.size, SIDE, SIDE, 3), "labels": (grid.size, len(grid.axes))}
    try:
        with h5py.File(path, "r") as file:
            shapes = {name: tuple(file[name].shape) if name in file else None for name in expected}
            if shapes != expected:
                raise DataError(f"{path} holds {shapes}: expected {expected}")
            told = np.asarray(file["labels"][:], np.float64)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read as HDF5 ({error})", "The download may have been cut off: fetch it anew."
        ) from error
    places = grid.places(np.arange(grid.size))
    for column, axis in enumerate(grid.axes):
        _, ranks = np.unique(told[:, column], return_inverse=True)
        wrong = np.flatnonzero(ranks != places[:, column])
        if len(wrong):
            raise DataError(
                f"{path}: {axis.name} of picture {wrong[0]} is {told[wrong[0], column]:g}, which is value "
                f"{ranks[wrong[0]]} of its column: expected value {places[wrong[0], column]}",
                "It is not the official file, whose pictures run through all factors in order, the last fastest.",
            )
