"""What the datasets of CoOp's benchmark share: CoOp's split file if it is there, else the set's own lists.

CoOp: Zhou, Yang, Loy, Liu, "Learning to Prompt for Vision-Language Models", IJCV 2022 (arXiv 2109.01134); its
layout of folders and its prompts are those of the authors' repository. Refuses lists that name absent images.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from lpcm.datasets.coop import read_coop_split
from lpcm.datasets.download import check_images
from lpcm.datasets.folder import SPLIT_KEY, SPLIT_NOTE, look_into
from lpcm.datasets.listing import Listing
from lpcm.datasets.names import checked_id, some
from lpcm.datasets.placed import PlacedDataset
from lpcm.datasets.sources import FileImage
from lpcm.datasets.splits import split_by_key
from lpcm.errors import DataError
from lpcm.plugin.contracts import Sample

UNSTATED = "not stated by its authors"
VAL_FROM_TRAIN = "official split: validation is taken from train"


@dataclass(frozen=True)
class ImageList:
    """A list of labelled images.

    Args:
        source: the file that holds it, for messages.
        rows: path below the images' folder, with forward slashes, and label of each.
    """

    source: Path
    rows: Sequence[tuple[str, int]]


class CoopSet(PlacedDataset):
    """A dataset that CoOp splits anew, under the data root.

    Class attributes beside those of ``PlacedDataset``:
        split_file: CoOp's file.
        images: the folder that its paths begin in, below the dataset's own; empty for that itself.
    """

    split_file: ClassVar[str]
    images: ClassVar[str] = ""

    @abstractmethod
    def _official(self, folder: Path) -> Listing:
        """List what is there without CoOp's file."""

    def _read(self, folder: Path) -> Listing:
        split = folder / self.split_file
        if split.is_file():
            return read_coop_split(self.name, split, folder / self.images)
        found = self._official(folder)
        return replace(
            found, notes=(f"{split} is not there: not comparable with results on CoOp's split", *found.notes)
        )

    def _needed(self, folder: Path, *names: str) -> list[Path]:
        """Files that stand in for CoOp's, all of them."""
        missing = [str(folder / name) for name in names if not (folder / name).is_file()]
        if missing:
            raise DataError(
                f"{self.name}: neither {folder / self.split_file} nor {' and '.join(missing)} is there: "
                f"nothing says which image is in which split. Expected:\n{self._drawn()}",
                f"Put one or the other into {folder}; CoOp's file is linked from DATASETS.md of its repository.",
            )
        return [folder / name for name in names]


def list_images(
    name: str,
    images: Path,
    classes: tuple[str, ...],
    lists: Mapping[str, ImageList],
    notes: tuple[str, ...] = (),
) -> Listing:
    """Samples as lists have them.

    Args:
        name: the dataset, for messages.
        images: folder that the paths are relative to.
        classes: class names in the order of the labels.
        lists: one for each split.
        notes: what a reader of the results should know.

    Raises:
        DataError: when an image that is listed is not there, or its path leads out of the folder.
    """
    samples = {}
    for split, listed in lists.items():
        wanted = [path for path, _ in listed.rows]
        astray = next((path for path in wanted if path.startswith("/") or ".." in path.split("/")), None)
        if astray is not None:
            raise DataError(f"{listed.source}: path {astray!r} leads out of {images}: expected one below it")
        check_images(name, images, wanted, listed.source.name)
        samples[split] = tuple(
            Sample(checked_id(path), FileImage(images / path), label) for path, label in listed.rows
        )
    return Listing(classes=classes, samples=samples, notes=notes)


def list_by_key(images: Path, classes: tuple[str, ...], rows: Sequence[tuple[str, int]]) -> Listing:
    """Samples of a set that comes without a split, split by key within each class.

    Args:
        images: folder that the paths are relative to.
        classes: class names in the order of the labels.
        rows: path and label of each image.
    """
    samples = [Sample(checked_id(path), FileImage(images / path), label) for path, label in rows]
    split = split_by_key([s.id for s in samples], [classes[s.label] for s in samples], SPLIT_KEY)
    return Listing(
        classes=classes,
        samples={part: tuple(samples[row] for row in chosen) for part, chosen in split.items()},
        notes=(SPLIT_NOTE,),
    )


def look_for(
    name: str, images: Path, folders: Sequence[str], expected: int, hint: str
) -> list[tuple[str, int]]:
    """Paths and labels of all images in class folders that must be whole.

    Args:
        name: the dataset, for messages.
        images: folder that the class folders are in.
        folders: their paths below it, in the order of the labels.
        expected: number of images in all.
        hint: how to mend it.

    Raises:
        DataError: naming the folders that are missing, and how many images were found.
    """
    there = [folder for folder in folders if (images / folder).is_dir()]
    places = {folder: label for label, folder in enumerate(folders)}
    rows = [
        (f"{folder}/{image}", places[folder])
        for folder in there
        for image in look_into(images / folder).images
    ]
    if len(there) < len(folders) or len(rows) != expected:
        missing = [folder for folder in folders if folder not in set(there)]
        raise DataError(
            f"{name}: {len(rows):,} of {expected:,} images in {len(there):,} of {len(folders):,} class folders "
            f"of {images}" + (f"; missing: {some(missing)}" if missing else ""),
            hint,
        )
    return rows


def read_lines(path: Path) -> list[str]:
    """Lines of a text file that are not empty, stripped.

    Raises:
        DataError: when the file is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file ({error})", "Fetch it anew.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        DataError: when it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # both bad JSON and bad UTF-8
        raise DataError(
            f"{path} is not JSON ({error})", "The download may have been cut off: fetch it anew."
        ) from error


def read_mat(path: Path, *names: str) -> list[Any]:
    """Variables of a MATLAB file, as flat arrays.

    Args:
        path: a file of MATLAB 4 to 7.2: plain data, which ``scipy.io`` parses without running any of it.
        names: the variables.

    Raises:
        DataError: when the file is damaged or lacks a variable.
    """
    import numpy as np
    from scipy.io import loadmat

    try:
        content = loadmat(path, squeeze_me=True)
    except Exception as error:  # scipy's parser raises its own, ValueError, TypeError, zlib.error ...
        raise DataError(
            f"{path} is not a readable MATLAB file ({error})",
            "The download may have been cut off: fetch it anew.",
        ) from error
    missing = [name for name in names if name not in content]
    if missing:
        raise DataError(
            f"{path} has no {' and no '.join(missing)}: is it the file of that name of this dataset?"
        )
    return [np.atleast_1d(content[name]) for name in names]


def place_of(name: str, places: Mapping[str, int], where: Path) -> int:
    """Label of a class name that a list holds.

    Raises:
        DataError: when there is no such class.
    """
    if name not in places:
        raise DataError(f"{where}: class {name!r} is none of the {len(places)} classes")
    return places[name]
