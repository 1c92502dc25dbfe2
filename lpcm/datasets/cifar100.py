"""CIFAR-100 (Krizhevsky, 2009) from its binary version. Refuses the Python version, whose files are pickles.

Why: ``docs/decisions/cifar100-binary.md``. A record is one byte of coarse label, one of fine label, then
3 x 32 x 32 pixels, channel by channel (the format that the author's page states).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.download import DownloadableDataset
from lpcm.datasets.listing import Listing
from lpcm.datasets.names import pretty_all
from lpcm.datasets.sources import PackedImage
from lpcm.errors import DataError
from lpcm.plugin.contracts import Sample

FOLDER = "cifar-100-binary"
URL = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
MD5 = "03b5dce01913d631647c71ecec9e9cb8"  # as the author's page states it
SHAPE = (3, 32, 32)
LABEL_BYTES = 2
RECORD = LABEL_BYTES + SHAPE[0] * SHAPE[1] * SHAPE[2]
NAMES = "fine_label_names.txt"


class Cifar100(DownloadableDataset):
    """CIFAR-100 under ``ROOT/cifar-100-binary``."""

    known_as = "cifar100"
    folders = (FOLDER,)
    parts = ("train.bin", "test.bin", NAMES)
    megabytes = 169
    terms = "not stated by its author"
    unread: ClassVar[dict[str, str]] = {
        "cifar-100-python": "its files are pickles, and nothing is unpickled from disk"
    }
    tree = f"""
├── train.bin                    (50,000 records of {RECORD:,} bytes)
├── test.bin                     (10,000 records)
└── {NAMES}
"""
    expected_images: ClassVar[dict[str, int]] = {"train": 50_000, "test": 10_000}

    def _read(self, folder: Path) -> Listing:
        raw = [
            line.strip() for line in (folder / NAMES).read_text(encoding="utf-8").splitlines() if line.strip()
        ]
        if len(raw) != 100:
            raise DataError(f"{folder / NAMES} names {len(raw)} classes: expected 100")
        classes, notes = pretty_all(raw)
        samples = {split: self._records(folder / f"{split}.bin", split) for split in self.expected_images}
        return Listing(classes=classes, samples=samples, notes=notes)

    def _records(self, path: Path, split: str) -> tuple[Sample, ...]:
        import numpy as np

        count, rest = divmod(path.stat().st_size, RECORD)
        expected = self.expected_images[split]
        if rest or count != expected:
            raise DataError(
                f"{path} has {count:,} of {expected:,} records"
                + (f" and {rest} bytes of one more" if rest else ""),
                f"The download may have been cut off: remove {path.parent} and type --allow-download",
            )
        labels = np.fromfile(path, np.uint8).reshape(count, RECORD)[:, 1].tolist()
        if labels and max(labels) > 99:
            row = next(row for row, label in enumerate(labels) if label > 99)
            raise DataError(f"{path}: record {row} has fine label {labels[row]}: expected 0 to 99")
        return tuple(
            Sample(f"{split}/{row:05d}", PackedImage(path, row * RECORD + LABEL_BYTES, SHAPE), label)
            for row, label in enumerate(labels)
        )

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(URL, os.fspath(into), md5=MD5)
        return FOLDER
