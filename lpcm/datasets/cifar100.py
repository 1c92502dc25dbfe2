"""CIFAR-100 (Krizhevsky, 2009) from its binary version. Refuses the Python version, whose files are pickles."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.cifar_binary import PICKLED, PIXELS, CifarBinary

FOLDER = "cifar-100-binary"
URL = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
MD5 = "03b5dce01913d631647c71ecec9e9cb8"  # as the author's page states it
LABEL_BYTES = 2  # the coarse label, then the fine one
RECORD = LABEL_BYTES + PIXELS
NAMES = "fine_label_names.txt"


class Cifar100(CifarBinary):
    """CIFAR-100 under ``ROOT/cifar-100-binary``."""

    known_as = "cifar100"
    folders = (FOLDER,)
    parts = ("train.bin", "test.bin", NAMES)
    megabytes = 169
    unread: ClassVar[dict[str, str]] = {"cifar-100-python": PICKLED}
    tree = f"""
├── train.bin                    (50,000 records of {RECORD:,} bytes)
├── test.bin                     (10,000 records)
└── {NAMES}
"""
    label_bytes = LABEL_BYTES
    label_word = "fine label"
    names_file = NAMES
    count = 100
    stems: ClassVar[dict[str, tuple[str, ...]]] = {"train": ("train",), "test": ("test",)}
    expected_images: ClassVar[dict[str, int]] = {"train": 50_000, "test": 10_000}

    def _fetch(self, into: Path) -> str:
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(URL, os.fspath(into), md5=MD5)
        return FOLDER
