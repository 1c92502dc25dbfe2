"""Sets that hold every combination of their factors once: 3D Shapes and MPI3D. Refuses to unpickle anything.

They have 480,000 and a million pictures of 64 x 64; ``shapes3d:20000`` takes that many of them, drawn by key, and a
larger count holds the smaller ones. Which picture is which follows from its place in the grid of factors.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lpcm.datasets.factored import FactoredDataset, FactorListing, make_factors
from lpcm.datasets.folder import SPLIT_KEY
from lpcm.datasets.placed import PlacedDataset
from lpcm.datasets.splits import split_by_key
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import DatasetOptions, ImageSource, Sample
from lpcm.plugin.truth import FactorKind
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lpcm.store.files import FileDigests

SIDE = 64
_SUBSET = Key.of(0).fold("dataset-grid", 1)


@dataclass(frozen=True)
class Axis:
    """One factor of a grid.

    Args:
        name: what varies.
        kind: what arithmetic makes sense.
        values: its values along the grid: for a category its place, for an angle radians.
        words: what its categories are called; empty where it does not label.
    """

    name: str
    kind: FactorKind
    values: tuple[float, ...]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    """All combinations of factors, the last axis fastest.

    Args:
        axes: the factors, in the order of the file.
        label: name of the one that labels.
    """

    axes: tuple[Axis, ...]
    label: str

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each factor."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of pictures."""
        return math.prod(self.shape)

    @property
    def labelling(self) -> int:
        """Place of the axis that labels."""
        return [axis.name for axis in self.axes].index(self.label)

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Place along each axis of the pictures with these numbers, (n, f)."""
        import numpy as np

        return np.stack(np.unravel_index(rows, self.shape), axis=1)


class GridDataset(FactoredDataset, PlacedDataset):
    """A grid of pictures in one file.

    Args:
        options: ``argument`` holds a variant and a count, both optional and joined by a comma.

    Class attributes beside those of ``PlacedDataset``:
        variants: names of variants; the first is taken when none is asked for.

    Raises:
        UsageError: for an unknown variant or a count that is not there.
    """

    prompts = ("a picture of a {}.",)
    variants: ClassVar[tuple[str, ...]] = ("",)

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(options)
        if options.argument:
            self.name = f"{self.known_as}:{options.argument}"
        self.variant, self.count = self._parse(options.argument)

    @abstractmethod
    def _grid(self) -> Grid:
        """The grid of the variant."""

    @abstractmethod
    def _images(self, folder: Path, rows: list[int]) -> Sequence[ImageSource]:
        """Sources of the pictures with these numbers. Raises ``DataError`` when the file does not hold the grid."""

    def _parse(self, argument: str) -> tuple[str, int | None]:
        variant, count = self.variants[0], None
        for place, part in enumerate(argument.split(",") if argument else []):
            if part in self.variants and place == 0:
                variant = part
            elif part.isdecimal() and count is None:
                count = int(part)
            else:
                named = f"{', '.join(self.variants)} and " if self.variants[0] else ""
                raise UsageError(
                    f"{self.known_as}:{argument}: {part!r} is neither: expected {named}a number of pictures",
                    f"Type for example {self.known_as}:{self.variants[-1] + ',' if self.variants[0] else ''}20000",
                )
        return variant, count

    def _read(self, folder: Path) -> FactorListing:
        import numpy as np

        grid = self._grid()
        rows = self._rows(grid)
        images = self._images(folder, rows.tolist())
        places = grid.places(rows)
        values = np.stack(
            [np.array(axis.values)[places[:, column]] for column, axis in enumerate(grid.axes)], axis=1
        )
        labels = places[:, grid.labelling].tolist()
        words = grid.axes[grid.labelling].words
        ids = [f"{row:07d}" for row in rows.tolist()]
        samples = [Sample(key, image, label) for key, image, label in zip(ids, images, labels, strict=True)]
        chosen = split_by_key(ids, [words[label] for label in labels], SPLIT_KEY)
        names, kinds = [axis.name for axis in grid.axes], [axis.kind for axis in grid.axes]
        notes = ["split by key: about 50 % train, 20 % val, 30 % test of each class"]
        if len(rows) < grid.size:
            notes.insert(0, f"{len(rows):,} of {grid.size:,} pictures, drawn by key")
        return FactorListing(
            classes=words,
            samples={split: tuple(samples[row] for row in part) for split, part in chosen.items()},
            factors={split: make_factors(names, kinds, values[part]) for split, part in chosen.items()},
            notes=tuple(notes),
        )

    def _rows(self, grid: Grid) -> NDArray[np.int64]:
        """Ascending numbers of the pictures that were asked for."""
        import numpy as np

        if self.count is None or self.count == grid.size:
            return np.arange(grid.size)
        fewest = 10 * len(grid.axes[grid.labelling].words)
        if not fewest <= self.count <= grid.size:
            raise UsageError(
                f"{self.name}: {self.count:,} pictures: expected {fewest} to {grid.size:,}",
                f"Type for example {self.known_as}:20000",
            )
        ranks = np.frombuffer(
            b"".join(
                hashlib.blake2b(row.to_bytes(8, "big"), key=_SUBSET.state, digest_size=8).digest()
                for row in range(grid.size)
            ),
            ">u8",
        )
        # Stable: two equal ranks among a million are unlikely, and still fall the same way everywhere.
        return np.sort(np.argsort(ranks, kind="stable")[: self.count])


@dataclass(frozen=True)
class PixelImage:
    """Raw RGB pixels inside a larger file, row by row, the three bytes of a pixel together.

    Args:
        path: the file.
        offset: byte at which they begin.
    """

    path: Path
    offset: int

    def open(self) -> Image:
        """Read the pixels. Raises ``OSError`` when the file is cut off."""
        from PIL import Image

        size = SIDE * SIDE * 3
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(size)
        if len(data) != size:
            raise OSError(
                f"{self.path}: {len(data)} of {size} bytes at offset {self.offset}: the file is cut off"
            )
        return Image.frombytes("RGB", (SIDE, SIDE), data)

    def fingerprint(self, files: FileDigests) -> str:
        """Digest of the file's SHA-256 and the place in it."""
        return digest_of(["pixels", files.digest(self.path), self.offset, SIDE])
