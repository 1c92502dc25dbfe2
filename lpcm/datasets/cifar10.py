"""CIFAR-10 (Krizhevsky, 2009) from its binary version. Refuses the Python version, whose files are pickles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.cifar_binary import PICKLED, PIXELS, CifarBinary

FOLDER = "cifar-10-batches-bin"
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # as the author's page states it
LABEL_BYTES = 1
RECORD = LABEL_BYTES + PIXELS
NAMES = "batches.meta.txt"
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))


class Cifar10(CifarBinary):
    """CIFAR-10 under ``ROOT/cifar-10-batches-bin``."""

    known_as = "cifar10"
    folders = (FOLDER,)
    parts = (*(f"{batch}.bin" for batch in BATCHES), "test_batch.bin", NAMES)
    megabytes = 170
    unread: ClassVar[dict[str, str]] = {"cifar-10-batches-py": PICKLED}
    tree = f"""
├── data_batch_1.bin             (10,000 records of {RECORD:,} bytes)
├── ...
├── data_batch_5.bin
├── test_batch.bin               (10,000 records)
└── {NAMES}
"""
    label_bytes = LABEL_BYTES
    label_word = "label"
    names_file = NAMES
    count = 10
    stems: ClassVar[dict[str, tuple[str, ...]]] = {"train": BATCHES, "test": ("test_batch",)}
    expected_images: ClassVar[dict[str, int]] = dict.fromkeys((*BATCHES, "test_batch"), 10_000)

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(URL, os.fspath(into), md5=MD5)
        return FOLDER
