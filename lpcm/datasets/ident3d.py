"""3DIdent and its kin: rendered scenes with known latents. Refuses latents that do not fit the pictures.

- ``3dident`` (Zimmermann et al., 2021): a teapot; ten latents in [-1, 1].
- ``causal3dident`` (von Kuegelgen et al., 2021): seven objects; ten latents in [-1, 1] that depend on one another.
- ``multimodal3dident`` (Daunhawer et al., 2023): seven objects, each picture with a sentence.

Rotations go over half a turn only in all three, and are continuous. The hues of the third are a full turn of HSV,
and its spotlight goes round a circle: these are angles. An argument takes that many pictures of each split, drawn
by key: ``3dident:5000``.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lpcm.datasets.download import check_images
from lpcm.datasets.factor_columns import Told, read_column
from lpcm.datasets.factor_table import read_table
from lpcm.datasets.factored import FactoredDataset, FactorListing, make_factors
from lpcm.datasets.names import some
from lpcm.datasets.placed import PlacedDataset
from lpcm.datasets.sources import FileImage
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import DatasetOptions, Sample
from lpcm.plugin.truth import FactorKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lpcm.plugin.truth import Factors

OBJECTS = ("teapot", "hare", "dragon", "cow", "armadillo", "horse", "head")
"""In the order of their numbers."""
LATENTS = (
    *("x", "y", "z", "rotation_alpha", "rotation_beta", "rotation_gamma"),
    *("spotlight_position", "object_hue", "spotlight_hue", "background_hue"),
)
_SUBSET = Key.of(0).fold("dataset-3dident", 1)


@dataclass(frozen=True)
class Part:
    """One split as it was found, rows aligned.

    Args:
        paths: of the pictures, below the set's folder.
        labels: n places in the classes.
        factors: of all n.
        captions: of all n; empty when there are none.
    """

    paths: list[str]
    labels: list[int]
    factors: Factors
    captions: list[str]


class SceneSet(FactoredDataset, PlacedDataset):
    """Rendered scenes in folders of splits.

    Args:
        options: ``argument`` is a number of pictures a split; empty for all.

    Class attributes beside those of ``PlacedDataset``:
        split_folders: folder of each split; the first must be there.
        objects: names of the classes.

    Raises:
        UsageError: for an argument that is no number of 10 or more.
    """

    prompts = ("a rendered {} in front of a coloured background.",)
    split_folders: ClassVar[Mapping[str, str]]
    objects: ClassVar[tuple[str, ...]] = OBJECTS
    notice: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(options)
        self.count: int | None = None
        if options.argument:
            self.name = f"{self.known_as}:{options.argument}"
            if not options.argument.isdecimal() or int(options.argument) < 10:
                raise UsageError(
                    f"{self.name}: expected a number of pictures a split, 10 or more",
                    f"Type for example {self.known_as}:5000",
                )
            self.count = int(options.argument)

    @abstractmethod
    def _part(self, folder: Path, split: str) -> Part:
        """What a split's folder, ``self.split_folders[split]`` in ``folder``, holds."""

    def _read(self, folder: Path) -> FactorListing:
        import numpy as np

        samples, factors = {}, {}
        for split, place in self.split_folders.items():
            if not (folder / place).is_dir():
                continue
            part = self._part(folder, split)
            rows = self._rows(part.paths)
            check_images(self.name, folder, [part.paths[row] for row in rows], f"the table of {place}")
            samples[split] = tuple(
                Sample(
                    part.paths[row],
                    FileImage(folder / part.paths[row]),
                    part.labels[row],
                    captions=(part.captions[row],) if part.captions else (),
                )
                for row in rows
            )
            factors[split] = part.factors.take(np.array(rows, np.int64))
        notes = self.notice
        if self.count is not None:
            notes = (
                f"{self.count:,} pictures of each split, or all where there are fewer, drawn by key",
                *notes,
            )
        return FactorListing(classes=self.objects, samples=samples, factors=factors, notes=notes)

    def _rows(self, paths: list[str]) -> list[int]:
        if self.count is None or self.count >= len(paths):
            return list(range(len(paths)))
        ranked = sorted(
            range(len(paths)),
            key=lambda row: hashlib.blake2b(paths[row].encode(), key=_SUBSET.state).digest(),
        )
        return sorted(ranked[: self.count])


class ThreeDIdent(SceneSet):
    """3DIdent under ``ROOT/3dident``; all pictures are of one class."""

    known_as = "3dident"
    folders = ("3dident", "3DIdent")
    parts = ("train",)
    home = "zenodo.org/record/4502485"
    terms = "CC BY 4.0"
    objects = ("teapot",)
    split_folders: ClassVar[Mapping[str, str]] = {"train": "train", "test": "test"}
    notice = ("one class: only its factors can be asked for",)
    tree = """
├── train/
│   ├── images/000000.png ...    (250,000)
│   └── raw_latents.npy          (a row of ten a picture)
└── test/                        (25,000, as train)
"""

    def _part(self, folder: Path, split: str) -> Part:
        place = self.split_folders[split]
        latents = _read_latents(folder / place / "raw_latents.npy")
        paths = _numbered(f"{place}/images", len(latents))
        return Part(paths, [0] * len(paths), _continuous(latents), [])


class Causal3DIdent(SceneSet):
    """Causal3DIdent under ``ROOT/causal3dident``; label: the object."""

    known_as = "causal3dident"
    folders = ("causal3dident", "Causal3DIdent")
    parts = ("trainset",)
    home = "zenodo.org/record/4784282"
    terms = "CC BY 4.0"
    split_folders: ClassVar[Mapping[str, str]] = {"train": "trainset", "test": "testset"}
    notice = ("its latents depend on one another: a factor says something of the others",)
    tree = """
├── trainset/
│   ├── images_0/00000.png ...   (one folder an object, 0 to 6)
│   ├── raw_latents_0.npy        (a row of ten a picture)
│   └── ...
└── testset/                     (as trainset)
"""

    def _part(self, folder: Path, split: str) -> Part:
        import numpy as np

        place = self.split_folders[split]
        tables = [_read_latents(folder / place / f"raw_latents_{k}.npy") for k in range(len(self.objects))]
        paths = [
            path for k, table in enumerate(tables) for path in _numbered(f"{place}/images_{k}", len(table))
        ]
        labels = [k for k, table in enumerate(tables) for _ in range(len(table))]
        shape = np.array(labels, np.float64)[:, None]
        factors = make_factors(
            ("object_shape", *LATENTS),
            (FactorKind.CATEGORICAL, *[FactorKind.CONTINUOUS] * len(LATENTS)),
            np.concatenate([shape, np.concatenate(tables)], axis=1),
        )
        return Part(paths, labels, factors, [])


_PLACES = ("object_shape", "object_xpos", "object_ypos")  # whole numbers without an order
_LINE, _TURN = Told(FactorKind.CONTINUOUS), Told(FactorKind.ANGLE, 1.0)
_COLUMNS = {
    **dict.fromkeys((*_PLACES, "object_alpharot", "object_betarot", "object_gammarot"), _LINE),
    **dict.fromkeys(("object_color", "spotlight_pos", "spotlight_color", "background_color"), _TURN),
}


class Multimodal3DIdent(SceneSet):
    """Multimodal3DIdent under ``ROOT/multimodal3dident``; label: the object; caption: its sentence."""

    known_as = "multimodal3dident"
    folders = ("multimodal3dident", "Multimodal3DIdent", "m3di")
    parts = ("train",)
    home = "zenodo.org/record/7678231"
    terms = "CC BY 4.0"
    split_folders: ClassVar[Mapping[str, str]] = {"train": "train", "val": "val", "test": "test"}
    tree = """
├── train/
│   ├── images/000000.png ...
│   ├── text/text_raw.txt        (a sentence a picture)
│   └── latents_image.csv        (a row a picture)
├── val/                         (as train)
└── test/
"""

    def _part(self, folder: Path, split: str) -> Part:
        import numpy as np

        place = self.split_folders[split]
        table = folder / place / "latents_image.csv"
        if not table.is_file():
            raise DataError(f"{self.name}: {table} is not there", self._how_to_complete(folder))
        lines, cells = read_table(table, needed="object_shape")
        missing = [name for name in _COLUMNS if name not in cells]
        if missing:
            raise DataError(f"{table} has no column {some(missing)}: expected {', '.join(_COLUMNS)}")
        # The z position is one number in all pictures, and is left out.
        columns = [read_column(name, cells[name], told, str(table)) for name, told in _COLUMNS.items()]
        factors = make_factors(
            [column.name for column in columns],
            [FactorKind.CATEGORICAL if c.name in _PLACES else c.kind for c in columns],
            np.array([column.values for column in columns]).T,
        )
        labels = _object_numbers(table, columns[0].values)
        captions = _read_sentences(folder / place / "text" / "text_raw.txt", len(lines))
        return Part(_numbered(f"{place}/images", len(lines)), labels, factors, captions)


def _object_numbers(table: Path, values: Sequence[float]) -> list[int]:
    wrong = [value for value in values if value not in range(len(OBJECTS))]
    if wrong:
        raise DataError(f"{table}: object_shape {wrong[0]:g}: expected 0 to {len(OBJECTS) - 1}")
    return [int(value) for value in values]


def _read_sentences(file: Path, count: int) -> list[str]:
    if not file.is_file():
        return []
    sentences = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    if len(sentences) != count or not all(sentences):
        raise DataError(
            f"{file} has {sum(map(bool, sentences))} sentences for {count} pictures: expected one each"
        )
    return sentences


def _read_latents(file: Path) -> NDArray[np.float64]:
    """(n, 10) latents; never pickled objects."""
    import numpy as np

    if not file.is_file():
        raise DataError(f"{file} is not there: expected a row of {len(LATENTS)} latents a picture")
    try:
        latents = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{file} cannot be read as a numpy file ({error})", "Fetch it anew.") from error
    if latents.ndim != 2 or latents.shape[1] != len(LATENTS) or not len(latents):
        raise DataError(f"{file} has shape {latents.shape}: expected (n, {len(LATENTS)})")
    return np.asarray(latents, np.float64)


def _continuous(latents: NDArray[np.float64]) -> Factors:
    return make_factors(LATENTS, [FactorKind.CONTINUOUS] * len(LATENTS), latents)


def _numbered(folder: str, count: int) -> list[str]:
    """Paths of pictures that are named by their number, with as many digits as the count needs."""
    digits = math.ceil(math.log10(count)) if count > 1 else 1
    return [f"{folder}/{str(row).zfill(digits)}.png" for row in range(count)]
