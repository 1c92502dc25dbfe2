"""The binary versions of CIFAR-10 and CIFAR-100 (Krizhevsky, 2009). Refuses the Python versions: they are pickles.

Why: ``docs/decisions/0003-cifar-100-from-the-binary-version.md``. A record is its labels, one byte each, then
3 x 32 x 32 pixels, channel by channel (the format that the author's page states).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lpcm.datasets.download import DownloadableDataset
from lpcm.datasets.listing import Listing
from lpcm.datasets.names import pretty_all
from lpcm.datasets.sources import PackedImage
from lpcm.errors import DataError
from lpcm.plugin.contracts import Sample

SHAPE = (3, 32, 32)
PIXELS = SHAPE[0] * SHAPE[1] * SHAPE[2]
PICKLED = "its files are pickles, and nothing is unpickled from disk"


class CifarBinary(DownloadableDataset):
    """One of the two.

    Class attributes beside those of ``DownloadableDataset``:
        label_bytes: labels of a record; the last one is read.
        label_word: what the author calls that label.
        names_file: class names, one a line.
        count: number of classes.
        stems: names of the files of each split, without ``.bin``.
        expected_images: records of each file, by its stem.
    """

    terms = "not stated by its author"
    label_bytes: ClassVar[int]
    label_word: ClassVar[str]
    names_file: ClassVar[str]
    count: ClassVar[int]
    stems: ClassVar[dict[str, tuple[str, ...]]]
    expected_images: ClassVar[dict[str, int]]

    def _read(self, folder: Path) -> Listing:
        text = (folder / self.names_file).read_text(encoding="utf-8")
        raw = [line.strip() for line in text.splitlines() if line.strip()]
        if len(raw) != self.count:
            raise DataError(f"{folder / self.names_file} names {len(raw)} classes: expected {self.count}")
        classes, notes = pretty_all(raw)
        samples = {
            split: tuple(s for stem in stems for s in self._records(folder / f"{stem}.bin", stem))
            for split, stems in self.stems.items()
        }
        return Listing(classes=classes, samples=samples, notes=notes)

    def _records(self, path: Path, stem: str) -> list[Sample]:
        import numpy as np

        size = self.label_bytes + PIXELS
        count, rest = divmod(path.stat().st_size, size)
        expected = self.expected_images[stem]
        if rest or count != expected:
            raise DataError(
                f"{path} has {count:,} of {expected:,} records"
                + (f" and {rest} bytes of one more" if rest else ""),
                f"The download may have been cut off: remove {path.parent} and type --allow-download",
            )
        labels = np.fromfile(path, np.uint8).reshape(count, size)[:, self.label_bytes - 1].tolist()
        if labels and max(labels) >= self.count:
            row = next(row for row, label in enumerate(labels) if label >= self.count)
            raise DataError(
                f"{path}: record {row} has {self.label_word} {labels[row]}: expected 0 to {self.count - 1}"
            )
        return [
            Sample(f"{stem}/{row:05d}", PackedImage(path, row * size + self.label_bytes, SHAPE), label)
            for row, label in enumerate(labels)
        ]
