"""Scenes, textures, satellite images and actions of CoOp's benchmark. Refuses trees that are not whole.

Each is read as CoOp splits it, or as its authors do where CoOp's file is not there; see
``lpcm.datasets.coop_set``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.coop_set import (
    UNSTATED,
    VAL_FROM_TRAIN,
    CoopSet,
    ImageList,
    list_by_key,
    list_images,
    look_for,
    place_of,
    read_lines,
)
from lpcm.datasets.download import DownloadableDataset
from lpcm.datasets.listing import Listing
from lpcm.datasets.names import pretty, pretty_all
from lpcm.errors import DataError


class Sun397(CoopSet, DownloadableDataset):
    """SUN397 (Xiao, Hays, Ehinger, Oliva, Torralba, 2010), scenes, under ``ROOT/sun397``."""

    known_as = "sun397"
    folders = ("sun397",)
    parts = ("SUN397",)
    megabytes = 39_100
    terms = UNSTATED
    split_file = "split_zhou_SUN397.json"
    images = "SUN397"
    unread: ClassVar[dict[str, str]] = {"SUN397": "it is expected inside a folder sun397: move it there"}
    tree = f"""
├── SUN397/
│   ├── a/
│   │   ├── abbey/
│   │   │   ├── sun_aaalbzqrimafwbiv.jpg
│   │   │   └── ...
│   │   └── airplane_cabin/
│   ├── ...                      (397 classes, 108,754 images)
│   └── ClassName.txt
├── ClassName.txt                (of Partitions.zip, used when CoOp's split is not there)
├── Training_01.txt
├── Testing_01.txt
└── {split_file}      (CoOp's split: 39,700 images)
"""
    expected_images: ClassVar[int] = 108_754

    def _official(self, folder: Path) -> Listing:
        lists = {"train": folder / "Training_01.txt", "test": folder / "Testing_01.txt"}
        whole = folder / self.images / "ClassName.txt"
        if whole.is_file() and not any(file.is_file() for file in lists.values()):
            return self._whole(folder, whole)
        naming, *_ = self._needed(folder, "ClassName.txt", *(file.name for file in lists.values()))
        names = self._names(naming)
        places = {name: label for label, name in enumerate(names)}
        rows = {split: [line.lstrip("/") for line in read_lines(file)] for split, file in lists.items()}
        return list_images(
            self.name,
            folder / self.images,
            self._classes(names, naming),
            {
                split: ImageList(
                    file, [(path, place_of(path.rpartition("/")[0], places, file)) for path in rows[split]]
                )
                for split, file in lists.items()
            },
            (f"the authors' first partition; {VAL_FROM_TRAIN}",),
        )

    def _whole(self, folder: Path, naming: Path) -> Listing:
        names = self._names(naming)
        images = folder / self.images
        rows = look_for(self.name, images, names, self.expected_images, self._how_to_complete(folder))
        return list_by_key(images, self._classes(names, naming), rows)

    def _names(self, naming: Path) -> list[str]:
        names = [line.lstrip("/") for line in read_lines(naming)]
        wrong = [name for name in names if "/" not in name or ".." in name.split("/")]
        if wrong or len(names) < 2:
            raise DataError(
                f"{naming}: {f'line {wrong[0]!r}' if wrong else f'{len(names)} lines'}: "
                "expected 397 lines like '/a/abbey'"
            )
        return names

    def _classes(self, names: list[str], naming: Path) -> tuple[str, ...]:
        # As CoOp says them: the letter goes, and "a/apse/indoor" becomes "indoor apse".
        made = tuple(pretty(" ".join(reversed(name.split("/")[1:]))) for name in names)
        if len(set(made)) != len(made):
            raise DataError(f"{naming}: two classes have the same name: expected 397 different ones")
        return made

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets import SUN397 as Official  # noqa: N811 (the set's name is in capitals)

        Official(os.fspath(into / "sun397"), download=True)
        (into / "sun397" / "SUN397.tar.gz").unlink()
        return "sun397"


class DescribableTextures(CoopSet, DownloadableDataset):
    """Describable Textures (Cimpoi, Maji, Kokkinos, Mohamed, Vedaldi, 2014) under ``ROOT/dtd``."""

    known_as = "dtd"
    folders = ("dtd", "dtd/dtd")
    parts = ("images",)
    megabytes = 625
    terms = "research only"
    prompts = ("{} texture.",)
    split_file = "split_zhou_DescribableTextures.json"
    images = "images"
    lists: ClassVar[dict[str, str]] = {s: f"labels/{s}1.txt" for s in ("train", "val", "test")}
    tree = f"""
├── images/
│   ├── banded/
│   │   ├── banded_0002.jpg
│   │   └── ...                  (120 images)
│   └── ...                      (47 classes)
├── labels/
│   ├── train1.txt               (used when CoOp's split is not there)
│   ├── val1.txt
│   └── test1.txt
└── {split_file}   (CoOp's split)
"""

    def _official(self, folder: Path) -> Listing:
        files = dict(zip(self.lists, self._needed(folder, *self.lists.values()), strict=True))
        rows = {split: read_lines(file) for split, file in files.items()}
        names = sorted({path.partition("/")[0] for path in rows["train"]})
        places = {name: label for label, name in enumerate(names)}
        lists = {
            split: ImageList(
                file, [(path, place_of(path.partition("/")[0], places, file)) for path in rows[split]]
            )
            for split, file in files.items()
        }
        classes, notes = pretty_all(names)
        return list_images(
            self.name, folder / self.images, classes, lists, ("the authors' first of ten splits", *notes)
        )

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets import DTD as Official  # noqa: N811 (the set's name is in capitals)

        Official(os.fspath(into), download=True)
        return "dtd/dtd"  # torchvision puts dtd/ into a folder of the same name


class EuroSat(CoopSet, DownloadableDataset):
    """EuroSAT (Helber, Bischke, Dengel, Borth, 2019), Sentinel-2 in RGB, under ``ROOT/eurosat``."""

    known_as = "eurosat"
    folders = ("eurosat",)
    parts = ("2750",)
    megabytes = 94
    terms = "MIT"
    prompts = ("a centered satellite photo of {}.",)
    split_file = "split_zhou_EuroSAT.json"
    images = "2750"
    tree = f"""
├── 2750/
│   ├── AnnualCrop/
│   │   ├── AnnualCrop_1.jpg
│   │   └── ...
│   └── ...                      (10 classes, 27,000 images)
└── {split_file}     (CoOp's split; without it one is made by key)
"""
    said: ClassVar[dict[str, str]] = {  # as CoOp says them
        "AnnualCrop": "Annual Crop Land",
        "Forest": "Forest",
        "HerbaceousVegetation": "Herbaceous Vegetation Land",
        "Highway": "Highway or Road",
        "Industrial": "Industrial Buildings",
        "Pasture": "Pasture Land",
        "PermanentCrop": "Permanent Crop Land",
        "Residential": "Residential Buildings",
        "River": "River",
        "SeaLake": "Sea or Lake",
    }
    expected_images: ClassVar[int] = 27_000

    def _official(self, folder: Path) -> Listing:
        images = folder / self.images
        hint = f"{self._how_to_complete(folder)} To use what is there as it is: folder:{images}"
        rows = look_for(self.name, images, tuple(self.said), self.expected_images, hint)
        return list_by_key(images, tuple(self.said.values()), rows)

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets import EuroSAT as Official

        Official(os.fspath(into), download=True)
        (into / "eurosat" / "EuroSAT.zip").unlink()
        return "eurosat"


class Ucf101(CoopSet):
    """UCF101 (Soomro, Zamir, Shah, 2012): the middle frame of each video, as CoOp took them."""

    known_as = "ucf101"
    folders = ("ucf101",)
    parts = ("UCF-101-midframes",)
    home = "the link to UCF-101-midframes.zip in DATASETS.md of CoOp's repository"
    terms = UNSTATED
    prompts = ("a photo of a person doing {}.",)
    split_file = "split_zhou_UCF101.json"
    images = "UCF-101-midframes"
    tree = f"""
├── UCF-101-midframes/
│   ├── Apply_Eye_Makeup/
│   │   ├── v_ApplyEyeMakeup_g01_c01.jpg
│   │   └── ...
│   └── ...                      (101 classes, 13,320 frames)
├── ucfTrainTestlist/            (the authors' lists, used when CoOp's split is not there)
│   ├── classInd.txt
│   ├── trainlist01.txt
│   └── testlist01.txt
└── {split_file}      (CoOp's split)
"""

    def _official(self, folder: Path) -> Listing:
        lists = "ucfTrainTestlist"
        naming, train, test = self._needed(
            folder, f"{lists}/classInd.txt", f"{lists}/trainlist01.txt", f"{lists}/testlist01.txt"
        )
        places = self._places(naming)
        classes, notes = pretty_all([_spaced(action) for action in places])
        return list_images(
            self.name,
            folder / self.images,
            classes,
            {s: ImageList(f, self._rows(f, places)) for s, f in (("train", train), ("test", test))},
            (f"the authors' first split; {VAL_FROM_TRAIN}", *notes),
        )

    def _places(self, file: Path) -> dict[str, int]:
        places: dict[str, int] = {}
        for line in read_lines(file):
            number, _, action = line.partition(" ")
            if number != str(len(places) + 1) or not action or action in places:
                raise DataError(f"{file}: line {line!r}: expected '{len(places) + 1} ActionName'")
            places[action] = len(places)
        return places

    def _rows(self, file: Path, places: dict[str, int]) -> list[tuple[str, int]]:
        rows = []
        for line in read_lines(file):
            video = line.split()[0]  # the train lists repeat the label behind it
            action, slash, name = video.partition("/")
            if not slash or not name.endswith(".avi"):
                raise DataError(f"{file}: line {line!r}: expected 'ActionName/v_ActionName_g08_c01.avi'")
            frame = f"{_spaced(action)}/{name.removesuffix('.avi')}.jpg"
            rows.append((frame, place_of(action, places, file)))
        return rows


def _spaced(action: str) -> str:
    """``ApplyEyeMakeup`` as CoOp's folders spell it: ``Apply_Eye_Makeup``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action)
