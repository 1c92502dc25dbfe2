"""Fine-grained sets of CoOp's benchmark: cars, flowers, food, aircraft. Refuses labels that name no class.

Each is read as CoOp splits it, or as its authors do where CoOp's file is not there; see
``lpcm.datasets.coop_set``. FGVC-Aircraft has one split only, its authors' own, which CoOp takes too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.coop_set import (
    UNSTATED,
    VAL_FROM_TRAIN,
    CoopSet,
    ImageList,
    list_images,
    place_of,
    read_json,
    read_lines,
    read_mat,
)
from lpcm.datasets.download import DownloadableDataset
from lpcm.datasets.listing import Listing
from lpcm.datasets.names import pretty_all
from lpcm.errors import DataError


class StanfordCars(CoopSet):
    """Stanford Cars (Krause, Stark, Deng, Fei-Fei, 2013) under ``ROOT/stanford_cars``."""

    known_as = "stanford-cars"
    folders = ("stanford_cars",)
    parts = ("cars_train", "cars_test")
    home = "a mirror: its authors' address no longer answers"
    terms = UNSTATED
    split_file = "split_zhou_StanfordCars.json"
    tree = f"""
├── cars_train/
│   ├── 00001.jpg
│   └── ...                      (8,144 images)
├── cars_test/                   (8,041 images)
├── devkit/
│   ├── cars_train_annos.mat     (these three are used when CoOp's split is not there)
│   └── cars_meta.mat
├── cars_test_annos_withlabels.mat
└── {split_file}   (CoOp's split)
"""

    def _official(self, folder: Path) -> Listing:
        train, test, meta = self._needed(
            folder, "devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat", "devkit/cars_meta.mat"
        )
        names = [str(name) for name in read_mat(meta, "class_names")[0]]
        # As CoOp says them: "AM General Hummer SUV 2000" becomes "2000 AM General Hummer SUV".
        classes = tuple(f"{year} {model}" for model, _, year in (name.rpartition(" ") for name in names))
        lists = {
            "train": ImageList(train, self._rows(train, "cars_train", len(classes))),
            "test": ImageList(test, self._rows(test, "cars_test", len(classes))),
        }
        return list_images(self.name, folder, classes, lists, (VAL_FROM_TRAIN,))

    def _rows(self, path: Path, images: str, classes: int) -> list[tuple[str, int]]:
        (marks,) = read_mat(path, "annotations")
        fields = marks.dtype.names or ()
        if not {"class", "fname"} <= set(fields):
            raise DataError(
                f"{path}: annotations have the fields {', '.join(fields) or 'none'}: expected class and fname",
                "cars_test_annos.mat of the devkit has no labels: cars_test_annos_withlabels.mat has them.",
            )
        rows = [(f"{images}/{mark['fname']}", int(mark["class"]) - 1) for mark in marks]
        return _in_range(rows, classes, path)


class Flowers102(CoopSet, DownloadableDataset):
    """Oxford Flowers 102 (Nilsback, Zisserman, 2008), ``ROOT/oxford_flowers`` or torchvision's ``flowers-102``."""

    known_as = "flowers102"
    folders = ("oxford_flowers", "flowers-102")
    parts = ("jpg",)
    megabytes = 345
    terms = UNSTATED
    prompts = ("a photo of a {}, a type of flower.",)
    split_file = "split_zhou_OxfordFlowers.json"
    images = "jpg"
    tree = f"""
├── jpg/
│   ├── image_00001.jpg
│   └── ...                      (8,189 images)
├── imagelabels.mat              (these two are used when CoOp's split is not there)
├── setid.mat
└── {split_file}  (CoOp's split)
"""

    def _official(self, folder: Path) -> Listing:
        label_file, set_file = self._needed(folder, "imagelabels.mat", "setid.mat")
        labels = [int(label) - 1 for label in read_mat(label_file, "labels")[0]]
        classes = self._names(folder)
        sets = zip(("train", "val", "test"), read_mat(set_file, "trnid", "valid", "tstid"), strict=True)
        lists = {}
        for split, numbers in sets:
            outside = [int(n) for n in numbers if not 1 <= n <= len(labels)]
            if outside:
                raise DataError(f"{set_file}: image {outside[0]}: {label_file.name} has 1 to {len(labels)}")
            rows = [(f"image_{int(n):05d}.jpg", labels[int(n) - 1]) for n in numbers]
            lists[split] = ImageList(set_file, _in_range(rows, len(classes), label_file))
        return list_images(
            self.name,
            folder / self.images,
            classes,
            lists,
            ("official split: 10 images a class in train and in val",),
        )

    def _names(self, folder: Path) -> tuple[str, ...]:
        file = folder / "cat_to_name.json"
        if file.is_file():
            content = read_json(file)
            expected = [str(number) for number in range(1, 103)]
            if not isinstance(content, dict) or sorted(content) != sorted(expected):
                raise DataError(f'{file}: expected {{"1": "pink primrose", ...}} with 102 names')
            return tuple(str(content[number]) for number in expected)
        from torchvision.datasets import Flowers102 as Official

        return tuple(Official.classes)

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets import Flowers102 as Official

        Official(os.fspath(into), download=True)
        (into / "flowers-102" / "102flowers.tgz").unlink()
        return "flowers-102"


class Food101(CoopSet, DownloadableDataset):
    """Food-101 (Bossard, Guillaumin, Van Gool, 2014) under ``ROOT/food-101``."""

    known_as = "food101"
    folders = ("food-101",)
    parts = ("images",)
    megabytes = 4996
    terms = "scientific fair use; images of Foodspotting's users"
    prompts = ("a photo of {}, a type of food.",)
    split_file = "split_zhou_Food101.json"
    images = "images"
    tree = f"""
├── images/
│   ├── apple_pie/
│   │   ├── 1005649.jpg
│   │   └── ...                  (1,000 images)
│   └── ...                      (101 classes)
├── meta/
│   ├── train.json               (used when CoOp's split is not there)
│   └── test.json
└── {split_file}     (CoOp's split)
"""

    def _official(self, folder: Path) -> Listing:
        train, test = self._needed(folder, "meta/train.json", "meta/test.json")
        content = {"train": (train, self._lists(train)), "test": (test, self._lists(test))}
        names = sorted(content["train"][1])
        places = {name: label for label, name in enumerate(names)}
        lists = {
            split: ImageList(
                file,
                [
                    (f"{path}.jpg", place_of(name, places, file))
                    for name, paths in of.items()
                    for path in paths
                ],
            )
            for split, (file, of) in content.items()
        }
        classes, notes = pretty_all(names)
        return list_images(self.name, folder / self.images, classes, lists, (VAL_FROM_TRAIN, *notes))

    def _lists(self, file: Path) -> dict[str, list[str]]:
        match read_json(file):
            case dict(content) if all(
                isinstance(paths, list) and all(isinstance(path, str) for path in paths)
                for paths in content.values()
            ):
                return content
        raise DataError(f'{file}: expected {{"apple_pie": ["apple_pie/1005649", ...], ...}}')

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets import Food101 as Official

        Official(os.fspath(into), download=True)
        return "food-101"


class FgvcAircraft(DownloadableDataset):
    """FGVC-Aircraft (Maji et al., 2013), 100 variants, ``ROOT/fgvc_aircraft`` or as its archive unpacks.

    CoOp takes the authors' lists, so there is no split file of its own.
    """

    known_as = "fgvc-aircraft"
    folders = ("fgvc_aircraft", "fgvc-aircraft-2013b/data")
    lists: ClassVar[dict[str, str]] = {s: f"images_variant_{s}.txt" for s in ("train", "val", "test")}
    parts = ("images", "variants.txt", *lists.values())
    megabytes = 2753
    terms = "non-commercial research only"
    prompts = ("a photo of a {}, a type of aircraft.",)
    tree = """
├── images/
│   ├── 0034309.jpg
│   └── ...                      (10,000 images)
├── variants.txt                 (100 names)
├── images_variant_train.txt
├── images_variant_val.txt
└── images_variant_test.txt
"""

    def _read(self, folder: Path) -> Listing:
        # As they stand: hyphens, slashes and underscores are part of a type's name.
        names = tuple(read_lines(folder / "variants.txt"))
        if len(set(names)) != len(names) or len(names) < 2:
            raise DataError(f"{folder / 'variants.txt'}: expected 100 different names, one a line")
        places = {name: label for label, name in enumerate(names)}
        lists = {
            split: ImageList(folder / file, self._rows(folder / file, places))
            for split, file in self.lists.items()
        }
        return list_images(self.name, folder / "images", names, lists, ("official split, which CoOp takes",))

    def _rows(self, file: Path, places: dict[str, int]) -> list[tuple[str, int]]:
        rows = []
        for line in read_lines(file):
            image, space, name = line.partition(" ")
            if not space:
                raise DataError(f"{file}: line {line!r}: expected '0034309 707-320'")
            rows.append((f"{image}.jpg", place_of(name.strip(), places, file)))
        return rows

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets import FGVCAircraft as Official

        Official(os.fspath(into), split="train", download=True)
        return "fgvc-aircraft-2013b"


def _in_range(rows: list[tuple[str, int]], classes: int, file: Path) -> list[tuple[str, int]]:
    wrong = next((row for row in rows if not 0 <= row[1] < classes), None)
    if wrong:
        raise DataError(f"{file}: {wrong[0]} has label {wrong[1] + 1}: expected 1 to {classes}")
    return rows
