"""Oxford-IIIT Pet (Parkhi, Vedaldi, Zisserman, Jawahar, 2012): 37 breeds, as CoOp splits them.

Without CoOp's split file the official lists are used: ``trainval.txt`` is train, and there is no val. Refuses
lists that name images which are not there.
"""

from __future__ import annotations

import os
from pathlib import Path

from lpcm.datasets.coop import read_coop_split
from lpcm.datasets.download import DownloadableDataset, check_images
from lpcm.datasets.listing import Listing
from lpcm.datasets.names import pretty_all
from lpcm.datasets.sources import FileImage
from lpcm.errors import DataError
from lpcm.plugin.contracts import Sample

SPLIT_FILE = "split_zhou_OxfordPets.json"
LISTS = {"train": "trainval.txt", "test": "test.txt"}


class OxfordPets(DownloadableDataset):
    """Oxford-IIIT Pet under ``ROOT/oxford_pets`` (as CoOp) or ``ROOT/oxford-iiit-pet`` (as torchvision)."""

    known_as = "oxford-pets"
    folders = ("oxford_pets", "oxford-iiit-pet")
    parts = ("images",)
    megabytes = 811
    terms = "CC BY-SA 4.0"
    prompts = ("a photo of a {}, a type of pet.",)
    tree = f"""
├── images/
│   ├── Abyssinian_1.jpg
│   └── ...                      (7,349 images are listed)
├── annotations/
│   ├── trainval.txt             (used when CoOp's split is not there)
│   └── test.txt
└── {SPLIT_FILE}    (CoOp's split)
"""

    def _read(self, folder: Path) -> Listing:
        split = folder / SPLIT_FILE
        if split.is_file():
            return read_coop_split(self.name, split, folder / "images")
        lists = {part: folder / "annotations" / name for part, name in LISTS.items()}
        missing = [str(path) for path in lists.values() if not path.is_file()]
        if missing:
            raise DataError(
                f"{self.name}: neither {split} nor {' and '.join(missing)} is there: nothing says which "
                f"image is in which split. Expected:\n{self._drawn()}",
                "Fetch annotations.tar.gz or CoOp's split file and put it there.",
            )
        names: dict[int, str] = {}
        samples = {part: self._read_list(path, folder / "images", names) for part, path in lists.items()}
        if sorted(names) != list(range(len(names))):
            raise DataError(
                f"{self.name}: class numbers in {lists['train']} are {sorted(names)}: expected 1 to c"
            )
        for part, path in lists.items():
            check_images(self.name, folder / "images", [sample.id for sample in samples[part]], path.name)
        classes, notes = pretty_all([names[label] for label in range(len(names))])
        return Listing(
            classes=classes,
            samples=samples,
            notes=(
                f"{split} is not there: not comparable with results on CoOp's split",
                "official split: trainval is train, and validation is taken from it",
                *notes,
            ),
        )

    def _read_list(self, path: Path, images: Path, names: dict[int, str]) -> tuple[Sample, ...]:
        samples = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            fields = line.split()
            if not fields or fields[0].startswith("#"):
                continue
            if len(fields) != 4 or not fields[1].isdecimal() or "_" not in fields[0]:
                raise DataError(
                    f"{path}, line {number}: {line!r}: expected 'Breed_name_1 class species breed'"
                )
            file, label = f"{fields[0]}.jpg", int(fields[1]) - 1
            # In lower case, as CoOp's file names the breeds.
            name = fields[0].rpartition("_")[0].lower()
            if names.setdefault(label, name) != name:
                raise DataError(
                    f"{path}, line {number}: class {label + 1} is {name} here and {names[label]} before"
                )
            samples.append(Sample(file, FileImage(images / file), label))
        return tuple(samples)

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets import OxfordIIITPet

        OxfordIIITPet(os.fspath(into), download=True)
        for archive in (into / "oxford-iiit-pet").glob("*.tar.gz"):
            archive.unlink()
        return "oxford-iiit-pet"
