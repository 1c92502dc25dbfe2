"""Caltech 101 (Li, Andreeto, Ranzato, Perona): 100 classes, as CoOp splits them. Refuses partial copies.

As in CoOp, the background class and ``Faces_easy`` (the same faces as ``Faces``, cropped) are left out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.coop import read_coop_split
from lpcm.datasets.download import DownloadableDataset
from lpcm.datasets.folder import SPLIT_KEY, SPLIT_NOTE, look_into
from lpcm.datasets.listing import Listing
from lpcm.datasets.names import pretty, some
from lpcm.datasets.sources import FileImage
from lpcm.datasets.splits import split_by_key
from lpcm.errors import DataError
from lpcm.plugin.contracts import Sample

IMAGES = "101_ObjectCategories"
SPLIT_FILE = "split_zhou_Caltech101.json"
LEFT_OUT = ("BACKGROUND_Google", "Faces_easy")
RENAMED = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}

_FOLDERS = """
Faces Leopards Motorbikes accordion airplanes anchor ant barrel bass beaver binocular bonsai brain
brontosaurus buddha butterfly camera cannon car_side ceiling_fan cellphone chair chandelier
cougar_body cougar_face crab crayfish crocodile crocodile_head cup dalmatian dollar_bill dolphin
dragonfly electric_guitar elephant emu euphonium ewer ferry flamingo flamingo_head garfield gerenuk
gramophone grand_piano hawksbill headphone hedgehog helicopter ibis inline_skate joshua_tree
kangaroo ketch lamp laptop llama lobster lotus mandolin mayfly menorah metronome minaret nautilus
octopus okapi pagoda panda pigeon pizza platypus pyramid revolver rhino rooster saxophone schooner
scissors scorpion sea_horse snoopy soccer_ball stapler starfish stegosaurus stop_sign strawberry
sunflower tick trilobite umbrella watch water_lilly wheelchair wild_cat windsor_chair wrench
yin_yang
"""
FOLDERS = tuple(_FOLDERS.split())


class Caltech101(DownloadableDataset):
    """Caltech 101 under ``ROOT/caltech-101`` (CoOp's name) or ``ROOT/caltech101`` (torchvision's)."""

    known_as = "caltech101"
    folders = ("caltech-101", "caltech101")
    parts = (IMAGES,)
    megabytes = 137
    terms = "CC BY 4.0"
    tree = f"""
├── {IMAGES}/
│   ├── accordion/
│   │   ├── image_0001.jpg
│   │   └── ...
│   └── ...                      (101 classes and BACKGROUND_Google)
└── {SPLIT_FILE}   (CoOp's split; without it one is made by key)
"""
    expected_folders: ClassVar[tuple[str, ...]] = FOLDERS
    expected_images: ClassVar[int] = 8242

    def _read(self, folder: Path) -> Listing:
        images = folder / IMAGES
        split = folder / SPLIT_FILE
        if split.is_file():
            return read_coop_split(self.name, split, images)
        return self._split_by_key(images)

    def _split_by_key(self, images: Path) -> Listing:
        there = set(look_into(images).folders) - set(LEFT_OUT)
        names = sorted(self.expected_folders)
        found = {name: look_into(images / name).images for name in names if name in there}
        count = sum(map(len, found.values()))
        if there != set(names) or count != self.expected_images:
            missing, extra = sorted(set(names) - there), sorted(there - set(names))
            where = f"{len(found)} of {len(names)} class folders of {images}"
            raise DataError(
                f"{self.name}: {count} of {self.expected_images} images in {where}"
                + (f"; missing: {some(missing)}" if missing else "")
                + (f"; not expected: {some(extra)}" if extra else ""),
                f"Fetch it anew (remove {images.parent} and type --allow-download), "
                f"or use what is there as it is: folder:{images}",
            )
        samples = [
            Sample(f"{name}/{image}", FileImage(images / name / image), label)
            for label, name in enumerate(names)
            for image in found[name]
        ]
        rows = split_by_key([s.id for s in samples], [names[s.label] for s in samples], SPLIT_KEY)
        return Listing(
            classes=tuple(RENAMED.get(name, pretty(name)) for name in names),
            samples={part: tuple(samples[row] for row in chosen) for part, chosen in rows.items()},
            notes=(
                f"{images.parent / SPLIT_FILE} is not there: not comparable with results on CoOp's split",
                SPLIT_NOTE,
            ),
        )

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets import Caltech101 as Official

        Official(os.fspath(into), download=True)
        return "caltech101"
