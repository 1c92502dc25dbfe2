"""ImageNet and four test sets of its classes: V2, Sketch, R, A. Refuses copies that are not whole.

Labels are places among the 1,000 classes everywhere, also in R and A, which hold images of 200 of them: they say so
in ``domain_classes``. The official validation images are the test split, as in CLIP and CoOp, so there is no val
split: validation images are taken from train.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.download import DownloadableDataset
from lpcm.datasets.folder import SPLIT_KEY, Folder, look_into
from lpcm.datasets.imagenet_names import Subset, class_names, subset_wnids, wnids
from lpcm.datasets.listing import Listing
from lpcm.datasets.names import checked_id, some
from lpcm.datasets.placed import PlacedDataset
from lpcm.datasets.sources import FileImage
from lpcm.errors import DataError, UsageError
from lpcm.plugin.contracts import DatasetOptions, Sample

KAGGLE_LABELS = "LOC_val_solution.csv"
NOT_WHOLE = "Perhaps an archive was not unpacked whole. To use what is there as it is: folder:"


class ImageNetFamily(PlacedDataset):
    """A set of the family.

    Class attributes beside those of ``PlacedDataset``:
        expected_images: number of images of each split.
    """

    expected_images: ClassVar[dict[str, int]]

    def _split(
        self, split: str, images: Path, labels: Mapping[str, int], prefix: str = ""
    ) -> tuple[Sample, ...]:
        """Samples in class folders, all of which must be there.

        Args:
            split: which, for the number of images expected.
            images: folder that the class folders are in.
            labels: label of each class folder.
            prefix: of the ids, before the class folder.
        """
        found = self._class_folders(images, labels)
        self._check_count(split, images, sum(len(folder.images) for folder in found))
        return tuple(
            _sample(f"{prefix}{folder.path.name}/{name}", folder.path / name, labels[folder.path.name])
            for folder in found
            for name in self._chosen(split, folder)
        )

    def _chosen(self, split: str, folder: Folder) -> Sequence[str]:
        """Images of a class folder to take."""
        return folder.images

    def _class_folders(self, images: Path, labels: Mapping[str, int]) -> list[Folder]:
        top = look_into(images)
        there = set(top.folders)
        missing, extra = sorted(set(labels) - there), sorted(there - set(labels))
        if missing or extra:
            raise DataError(
                f"{self.name}: {images} holds {len(labels) - len(missing):,} of the {len(labels):,} class folders"
                + (f"; missing: {some(missing)}" if missing else "")
                + (f"; not expected: {some(extra)}" if extra else "")
                + f". Expected:\n{self._drawn()}",
                f"{NOT_WHOLE}{images}",
            )
        return [top.enter(name) for name in sorted(labels, key=labels.__getitem__)]

    def _check_count(self, split: str, images: Path, count: int) -> None:
        if count != self.expected_images[split]:
            raise DataError(
                f"{self.name}: {images} holds {count:,} of {self.expected_images[split]:,} images",
                f"{NOT_WHOLE}{images}",
            )


class ImageNet(ImageNetFamily):
    """ImageNet, the challenge of 2012 (Russakovsky et al., 2015).

    Args:
        options: ``argument`` is the number of training images a class to keep at most, by key; empty for all of
            them. 64 contain 16. Few-shot studies need no more than shots plus four, and each image that is kept
            costs a pass through the encoder. With 0 there is no train split, and no ``train`` folder is needed.

    Raises:
        UsageError: when the argument is not a number.
    """

    known_as = "imagenet"
    folders = ("imagenet/images", "imagenet", "ILSVRC/Data/CLS-LOC", "imagenet/ILSVRC/Data/CLS-LOC")
    parts = ("train", "val")
    home = "image-net.org or the Kaggle challenge imagenet-object-localization-challenge, after agreeing to its terms"
    terms = "non-commercial research and education"
    tree = f"""
├── train/
│   ├── n01440764/
│   │   ├── n01440764_10026.JPEG
│   │   └── ...
│   └── ...                      (1,000 classes, 1,281,167 images)
└── val/
    ├── n01440764/
    │   ├── ILSVRC2012_val_00000293.JPEG
    │   └── ...
    └── ...                      (1,000 classes, 50,000 images; or all in val/ beside Kaggle's {KAGGLE_LABELS})
"""
    expected_images: ClassVar[dict[str, int]] = {"train": 1_281_167, "test": 50_000}

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(options)
        self.at_most = _number(options.argument, self.known_as)
        if self.at_most is not None:
            self.name = f"{self.known_as}:{self.at_most}"

    def _read(self, folder: Path) -> Listing:
        labels = {wnid: label for label, wnid in enumerate(wnids())}
        train = () if self.at_most == 0 else self._split("train", folder / "train", labels, "train/")
        val = folder / "val"
        inside = look_into(val)
        flat = bool(inside.images) and not inside.folders
        test = self._flat(inside, labels) if flat else self._split("test", val, labels, "val/")
        kept = f"at most {self.at_most} training images a class, chosen by key"
        return Listing(
            classes=class_names(),
            samples={"train": train, "test": test},
            notes=(*((kept,) if self.at_most else ()), "the official validation images are the test split"),
        )

    def _chosen(self, split: str, folder: Folder) -> Sequence[str]:
        if split != "train" or self.at_most is None:
            return folder.images
        key = SPLIT_KEY.fold("imagenet").state
        ranked = sorted(
            folder.images, key=lambda name: hashlib.blake2b(name.encode(), key=key, digest_size=16).digest()
        )
        return sorted(ranked[: self.at_most])

    def _needs(self) -> tuple[str, ...]:
        return ("val",) if self.at_most == 0 else self.parts

    def _how_to_complete(self, folder: Path) -> str:
        return f"{super()._how_to_complete(folder)} To test only, without train: {self.known_as}:0."

    def _flat(self, val: Folder, labels: Mapping[str, int]) -> tuple[Sample, ...]:
        """Validation images that all lie in one folder, as archives hold them: Kaggle's table says which is what."""
        above = [place for place in (val.path, *val.path.parents) if place.is_relative_to(self.root)]
        table = next((place / KAGGLE_LABELS for place in above if (place / KAGGLE_LABELS).is_file()), None)
        if table is None:
            raise DataError(
                f"{self.name}: {val.path} holds {len(val.images):,} images and no class folders, and no "
                f"{KAGGLE_LABELS} says which is what. Expected:\n{self._drawn()}",
                "torchvision.datasets.ImageNet sorts them when it is given the official archives, "
                f"or put Kaggle's {KAGGLE_LABELS} into {val.path.parent}.",
            )
        self._check_count("test", val.path, len(val.images))
        wnid_of = _read_kaggle(table, labels)
        unknown = [name for name in val.images if Path(name).stem not in wnid_of]
        if unknown:
            raise DataError(f"{table} does not name {len(unknown):,} images of {val.path}: {some(unknown)}")
        # The same ids, in the same order, as in class folders: it is the same data.
        placed = sorted((wnid_of[Path(name).stem], name) for name in val.images)
        return tuple(_sample(f"val/{wnid}/{name}", val.path / name, labels[wnid]) for wnid, name in placed)


class ImageNetV2(ImageNetFamily):
    """ImageNet-V2, matched frequency (Recht, Roelofs, Schmidt, Shankar, 2019): new images by the old recipe."""

    known_as = "imagenet-v2"
    folders = (
        "imagenetv2/imagenetv2-matched-frequency-format-val",
        "imagenetv2-matched-frequency-format-val",
    )
    parts = ("0",)
    home = "huggingface.co/datasets/vaishaal/ImageNetV2 (imagenetv2-matched-frequency.tar.gz)"
    terms = "MIT"
    tree = """
├── 0/                           (places among the sorted WordNet ids)
│   └── *.jpeg
├── ...
└── 999/                         (1,000 classes, 10,000 images)
"""
    expected_images: ClassVar[dict[str, int]] = {"test": 10_000}

    def _read(self, folder: Path) -> Listing:
        names = class_names()
        samples = self._split("test", folder, {str(label): label for label in range(len(names))})
        return Listing(classes=names, samples={"test": samples})


class ImageNetSketch(ImageNetFamily):
    """ImageNet-Sketch (Wang, Ge, Xing, Lipton, 2019): black and white sketches."""

    known_as = "imagenet-sketch"
    folders = ("imagenet-sketch/images", "imagenet-sketch/sketch", "imagenet-sketch")
    parts = ()
    home = "github.com/HaohanWang/ImageNet-Sketch (ImageNet-Sketch.zip, 7.8 GB)"
    terms = "MIT"
    tree = """
├── n01440764/
│   ├── sketch_0.JPEG
│   └── ...
└── ...                          (1,000 classes, 50,889 images)
"""
    expected_images: ClassVar[dict[str, int]] = {"test": 50_889}

    def _read(self, folder: Path) -> Listing:
        labels = {wnid: label for label, wnid in enumerate(wnids())}
        return Listing(classes=class_names(), samples={"test": self._split("test", folder, labels)})


class ImageNetSubset(ImageNetFamily, DownloadableDataset):
    """A set with images of 200 of the classes; it is a domain of its own, so that they can be declared.

    Class attributes beside those of ``ImageNetFamily``:
        subset: which of the classes.
        url, md5: the archive, which holds one folder.
    """

    parts = ()
    terms = "MIT"
    subset: ClassVar[Subset]
    url: ClassVar[str]
    md5: ClassVar[str]

    @property
    def domain_classes(self) -> dict[str, tuple[int, ...]]:
        """Labels that occur, those of the folders on disk: an answer is one of these."""
        return {self.known_as: tuple(sorted({sample.label for sample in self.samples("test")}))}

    @property
    def chance(self) -> float:
        """Accuracy of a guess among the classes that occur."""
        return 1.0 / len(self.domain_classes[self.known_as])

    def _read(self, folder: Path) -> Listing:
        places = {wnid: label for label, wnid in enumerate(wnids())}
        labels = {wnid: places[wnid] for wnid in subset_wnids(self.subset)}
        samples = self._split("test", folder, labels)
        return Listing(
            classes=class_names(),
            domains=(self.known_as,),
            samples={"test": tuple(Sample(s.id, s.image, s.label, self.known_as) for s in samples)},
            notes=(f"{self.known_as} holds images of {len(labels)} of the {len(places):,} classes",),
        )

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(self.url, os.fspath(into), md5=self.md5)
        return self.folders[-1]


class ImageNetR(ImageNetSubset):
    """ImageNet-R (Hendrycks et al., 2021): renditions, such as paintings, toys and origami."""

    known_as = "imagenet-r"
    folders = ("imagenet-rendition/imagenet-r", "imagenet-r")
    subset = Subset.R
    url = "https://people.eecs.berkeley.edu/~hendrycks/imagenet-r.tar"
    md5 = "a61312130a589d0ca1a8fca1f2bd3337"
    megabytes = 2190
    tree = """
├── n01443537/
│   ├── art_0.jpg
│   └── ...
└── ...                          (200 classes, 30,000 images)
"""
    expected_images: ClassVar[dict[str, int]] = {"test": 30_000}


class ImageNetA(ImageNetSubset):
    """ImageNet-A (Hendrycks, Zhao, Basart, Steinhardt, Song, 2021): photos that a ResNet-50 gets wrong."""

    known_as = "imagenet-a"
    folders = ("imagenet-adversarial/imagenet-a", "imagenet-a")
    subset = Subset.A
    url = "https://people.eecs.berkeley.edu/~hendrycks/imagenet-a.tar"
    md5 = "c3e55429088dc681f30d81f4726b6595"
    megabytes = 688
    tree = """
├── n01498041/
│   └── *.jpg
└── ...                          (200 classes, 7,500 images)
"""
    expected_images: ClassVar[dict[str, int]] = {"test": 7_500}


def _number(argument: str, name: str) -> int | None:
    if argument and not (argument.isascii() and argument.isdecimal()):
        raise UsageError(
            f"{name}:{argument}: expected the number of training images a class to keep",
            f"Type for example {name}:64, {name}:0 to test only, or {name} for all of them.",
        )
    return int(argument) if argument else None


def _read_kaggle(table: Path, labels: Mapping[str, int]) -> dict[str, str]:
    """WordNet id of each image of Kaggle's table: ``ILSVRC2012_val_00000001,n01751748 111 108 329 399``."""
    found = {}
    with table.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            wnid = row[1].partition(" ")[0] if len(row) == 2 else ""
            if wnid in labels:
                found[row[0]] = wnid
            elif number > 1:
                raise DataError(
                    f"{table}, line {number}: {','.join(row)!r:.60}: expected an image, a comma, a WordNet id"
                )
    return found


def _sample(name: str, path: Path, label: int) -> Sample:
    return Sample(checked_id(name), FileImage(path), label)
