"""Domain sets as DomainBed lays them out: ROOT/SET/DOMAIN/CLASS/image. Refuses half copies of those it can count.

Splits matter to tasks inside the domains, such as few-shot; leave-one-domain-out makes its own from all images.
Published lists are used where they lie beside the images; else a split is made by key within class and domain.
No ``domain_classes`` are given: in DomainBed's protocol a prediction is any class, also where a domain lacks one.

Source: Gulrajani and Lopez-Paz, In search of lost domain generalization, ICLR 2021 (arXiv 2007.01434), table 3
and its script of downloads, whose layout this is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.download import check_images
from lpcm.datasets.folder import SPLIT_KEY, SPLIT_NOTE, look_into
from lpcm.datasets.listing import Listing
from lpcm.datasets.names import checked_id, pretty, some
from lpcm.datasets.placed import PlacedDataset
from lpcm.datasets.sources import FileImage
from lpcm.datasets.splits import split_by_key
from lpcm.errors import DataError
from lpcm.plugin.contracts import Sample

UNSTATED = "not stated by its authors"
FAIR_USE = "non-commercial research (fair use notice)"


@dataclass(frozen=True)
class _Found:
    """An image with the folders that it lies in."""

    id: str
    path: Path
    name: str
    domain: str


class DomainSet(PlacedDataset):
    """Images under domains and classes.

    Class attributes beside those of ``PlacedDataset``:
        domain_folders: a domain's folder, and its images in a whole copy; 0 where copies are known to differ.
        class_folders: the folders of classes; empty where only their number is known.
        class_count: c.
        said: class names that are not their folder's with spaces for underscores.
        whole: images in all domains, as the source counts them.
        lists: names of the published lists of a domain, for each split.
    """

    domain_folders: ClassVar[Mapping[str, int]]
    class_folders: ClassVar[tuple[str, ...]] = ()
    class_count: ClassVar[int]
    said: ClassVar[Mapping[str, str]] = {}
    whole: ClassVar[int]
    lists: ClassVar[Mapping[str, str]] = {}

    def _read(self, folder: Path) -> Listing:
        trees = {domain: self._tree(folder, domain) for domain in self.domain_folders}
        names = sorted(self.class_folders or {name for tree in trees.values() for name in tree})
        if len(names) != self.class_count:
            raise DataError(
                f"{self.name}: {len(names)} classes in {folder}: expected {self.class_count} folders in each domain",
                self._how_to_complete(folder),
            )
        found = [
            _Found(checked_id(f"{domain}/{name}/{image}"), folder / domain / name / image, name, domain)
            for domain, tree in trees.items()
            for name in names
            for image in tree.get(name, ())
        ]
        self._check_counts(folder, found)
        label = {name: number for number, name in enumerate(names)}
        samples = {f.id: Sample(f.id, FileImage(f.path), label[f.name], pretty(f.domain)) for f in found}
        lists = self._published(folder)
        splits, notes = self._listed(lists, folder, samples) if lists else self._by_key(found)
        return Listing(
            classes=tuple(self.said.get(name, pretty(name)) for name in names),
            domains=tuple(map(pretty, self.domain_folders)),
            samples={split: tuple(samples[key] for key in keys) for split, keys in splits.items()},
            notes=(*notes, *self._notes(trees, names, len(found))),
        )

    def _tree(self, folder: Path, domain: str) -> Mapping[str, tuple[str, ...]]:
        """Images of each class folder of a domain."""
        inside = look_into(folder / domain)
        unknown = sorted(set(inside.folders) - set(self.class_folders)) if self.class_folders else []
        missing = sorted(set(self.class_folders) - set(inside.folders)) if self.domain_folders[domain] else []
        if unknown or missing:
            raise DataError(
                f"{self.name}: {folder / domain} has other class folders than expected"
                + (f"; missing: {some(missing)}" if missing else "")
                + (f"; not expected: {some(unknown)}" if unknown else ""),
                self._how_to_complete(folder),
            )
        return {name: images for name in inside.folders if (images := inside.enter(name).images)}

    def _check_counts(self, folder: Path, found: list[_Found]) -> None:
        for domain, expected in self.domain_folders.items():
            count = sum(image.domain == domain for image in found)
            if not count or expected not in (0, count):
                what = f"{count:,} of {expected:,} images" if expected else "no image"
                raise DataError(
                    f"{self.name}: {what} in {folder / domain}",
                    f"{self._how_to_complete(folder)} To use what is there as it is: "
                    f"'folder:{folder}?layout=domains'",
                )

    def _published(self, folder: Path) -> Mapping[str, tuple[Path, ...]]:
        """The published lists of each split; empty when none are there."""
        files = {
            split: [pattern.format(domain) for domain in self.domain_folders]
            for split, pattern in self.lists.items()
        }
        for place in (folder, folder / "splits", folder.parent / "splits"):
            there = {split: tuple(place / name for name in names) for split, names in files.items()}
            gone = [path.name for paths in there.values() for path in paths if not path.is_file()]
            if not gone:
                return there
            if len(gone) < sum(map(len, there.values())):
                raise DataError(
                    f"{self.name}: {place} has some of the published lists, but lacks {some(gone)}",
                    "Add them, or remove the others: then a split is made by key.",
                )
        return {}

    def _listed(
        self, lists: Mapping[str, tuple[Path, ...]], folder: Path, samples: Mapping[str, Sample]
    ) -> tuple[dict[str, list[str]], tuple[str, ...]]:
        splits: dict[str, list[str]] = {}
        numbers: dict[str, int] = {}
        for split, files in lists.items():
            splits[split] = []
            for file in files:
                rows = list(_rows(file))
                check_images(self.name, folder, [path for path, _ in rows], file.name)
                for path, number in rows:
                    if path not in samples:
                        raise DataError(f"{file} lists {path}: expected DOMAIN/CLASS/image of {self.name}")
                    name = path.split("/")[1]
                    if numbers.setdefault(name, number) != number:
                        raise DataError(
                            f"{file}: {path} has label {number}, and {name} had {numbers[name]} before"
                        )
                    splits[split].append(path)
        left = len(samples) - len({path for paths in splits.values() for path in paths})
        notes = [f"published lists ({', '.join(f'{s}: {files[0].name} ...' for s, files in lists.items())})"]
        if left:
            notes.append(f"{left} images are in no published list and were left out")
        return splits, tuple(notes)

    def _by_key(self, found: list[_Found]) -> tuple[dict[str, list[str]], tuple[str, ...]]:
        ids = [image.id for image in found]
        # The strata of folder:PATH, so that the same images are split alike by either name.
        strata = [f"{pretty(image.domain)}/{image.name}" for image in found]
        rows = split_by_key(ids, strata, SPLIT_KEY)
        return {split: [ids[row] for row in chosen] for split, chosen in rows.items()}, (SPLIT_NOTE,)

    def _notes(
        self, trees: Mapping[str, Mapping[str, tuple[str, ...]]], names: list[str], count: int
    ) -> Iterator[str]:
        for domain, tree in trees.items():
            lacking = [name for name in names if name not in tree]
            if lacking:
                yield f"{pretty(domain)} has no image of {len(lacking)} classes: {some(lacking)}"
        if count != self.whole:
            yield f"{count:,} images, where DomainBed counts {self.whole:,}: copies of this set differ"


def _rows(file: Path) -> Iterator[tuple[str, int]]:
    """Path and label number of each line."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        path, _, label = line.strip().rpartition(" ")
        if not path or not label.isdecimal():
            raise DataError(f"{file}, line {number}: {line!r}: expected DOMAIN/CLASS/image and a number")
        yield checked_id(path), int(label)


class Pacs(DomainSet):
    """PACS (Li, Yang, Song, Hospedales, 2017).

    Of its published lists, ``train`` and ``crossval`` part each domain; ``test`` is both together, for use as a
    target, and is not read. Here the images of ``crossval`` are the test split, and validation is taken from train.
    """

    known_as = "pacs"
    folders = ("PACS", "pacs", "pacs/images", "kfold")
    parts = ("art_painting", "cartoon", "photo", "sketch")
    home = "domaingeneralization.github.io (DomainBed's script fetches it)"
    terms = UNSTATED
    domain_folders: ClassVar[Mapping[str, int]] = {
        "art_painting": 2048,
        "cartoon": 2344,
        "photo": 1670,
        "sketch": 3929,
    }
    class_folders = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
    class_count = 7
    whole = 9991
    lists: ClassVar[Mapping[str, str]] = {"train": "{}_train_kfold.txt", "test": "{}_crossval_kfold.txt"}
    tree = """
├── art_painting/
│   ├── dog/pic_001.jpg ...
│   └── ...                      (7 classes)
├── cartoon/
├── photo/
├── sketch/
└── art_painting_train_kfold.txt ...   (published lists, also in splits/; without them a split is made by key)
"""


class Vlcs(DomainSet):
    """VLCS (Fang, Xu, Rockmore, 2013): five classes shared by four sets of photos."""

    known_as = "vlcs"
    folders = ("VLCS", "vlcs")
    parts = ("Caltech101", "LabelMe", "SUN09", "VOC2007")
    home = "DomainBed's script of downloads (github.com/facebookresearch/DomainBed)"
    terms = UNSTATED
    domain_folders: ClassVar[Mapping[str, int]] = {
        "Caltech101": 1415,
        "LabelMe": 2656,
        "SUN09": 3282,
        "VOC2007": 3376,
    }
    class_folders = ("bird", "car", "chair", "dog", "person")
    class_count = 5
    whole = 10_729
    tree = """
├── Caltech101/
│   ├── bird/
│   └── ...                      (5 classes)
├── LabelMe/
├── SUN09/
└── VOC2007/
"""


_OFFICE = """
Alarm_Clock Backpack Batteries Bed Bike Bottle Bucket Calculator Calendar Candles Chair Clipboards
Computer Couch Curtains Desk_Lamp Drill Eraser Exit_Sign Fan File_Cabinet Flipflops Flowers Folder
Fork Glasses Hammer Helmet Kettle Keyboard Knives Lamp_Shade Laptop Marker Monitor Mop Mouse Mug
Notebook Oven Pan Paper_Clip Pen Pencil Postit_Notes Printer Push_Pin Radio Refrigerator Ruler
Scissors Screwdriver Shelf Sink Sneakers Soda Speaker Spoon TV Table Telephone ToothBrush Toys
Trash_Can Webcam
"""
_OFFICE_SAID = {
    "TV": "TV",
    "ToothBrush": "toothbrush",
    "Flipflops": "flip-flops",
    "Postit_Notes": "post-it notes",
}


class OfficeHome(DomainSet):
    """Office-Home (Venkateswara, Eusebio, Chakraborty, Panchanathan, 2017)."""

    known_as = "office-home"
    folders = ("office_home", "OfficeHome", "OfficeHomeDataset_10072016")
    parts = ("Art", "Clipart", "Product", "Real World")
    home = "hemanthdv.org/officeHomeDataset"
    terms = FAIR_USE
    domain_folders: ClassVar[Mapping[str, int]] = {
        "Art": 2427,
        "Clipart": 4365,
        "Product": 4439,
        "Real World": 4357,
    }
    class_folders = tuple(_OFFICE.split())
    class_count = 65
    said: ClassVar[Mapping[str, str]] = {
        name: _OFFICE_SAID.get(name, pretty(name).lower()) for name in _OFFICE.split()
    }
    whole = 15_588
    tree = """
├── Art/
│   ├── Alarm_Clock/00001.jpg ...
│   └── ...                      (65 classes)
├── Clipart/
├── Product/
└── Real World/
"""


class TerraIncognita(DomainSet):
    """Terra Incognita (Beery, Van Horn, Perona, 2018): camera traps, four locations that DomainBed chose."""

    known_as = "terra-incognita"
    folders = ("terra_incognita",)
    parts = ("location_100", "location_38", "location_43", "location_46")
    home = "lila.science/datasets/caltech-camera-traps (DomainBed's script sorts it into folders)"
    terms = "CDLA-Permissive-1.0"
    prompts = ("a photo of a {} taken by a camera trap.",)
    domain_folders: ClassVar[Mapping[str, int]] = dict.fromkeys(parts, 0)
    class_folders = (
        "bird",
        "bobcat",
        "cat",
        "coyote",
        "dog",
        "empty",
        "opossum",
        "rabbit",
        "raccoon",
        "squirrel",
    )
    class_count = 10
    said: ClassVar[Mapping[str, str]] = {"empty": "place without animals"}
    whole = 24_788
    tree = """
├── location_100/
│   ├── bird/
│   └── ...                      (10 classes, where the location has them)
├── location_38/
├── location_43/
└── location_46/
"""


class DomainNet(DomainSet):
    """DomainNet (Peng, Bai, Xia, Huang, Saenko, Wang, 2019); with its published lists when all twelve are there."""

    known_as = "domainnet"
    folders = ("domain_net", "domainnet", "DomainNet")
    parts = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
    home = "ai.bu.edu/M3SDA"
    terms = FAIR_USE
    domain_folders: ClassVar[Mapping[str, int]] = dict.fromkeys(parts, 0)
    class_count = 345
    whole = 586_575
    lists: ClassVar[Mapping[str, str]] = {"train": "{}_train.txt", "test": "{}_test.txt"}
    tree = """
├── clipart/
│   ├── aircraft_carrier/clipart_001_000001.jpg ...
│   └── ...                      (345 classes)
├── infograph/
├── painting/
├── quickdraw/
├── real/
├── sketch/
└── clipart_train.txt, clipart_test.txt ...   (published lists, also in splits/; without them a split is made by key)
"""
