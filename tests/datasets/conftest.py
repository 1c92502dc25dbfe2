"""Small trees laid out as real datasets are."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from lpcm.plugin.contracts import DatasetOptions
from lpcm.store.files import FileDigests


@pytest.fixture
def files() -> Iterator[FileDigests]:
    with FileDigests(None) as found:
        yield found


@pytest.fixture
def options(files: FileDigests, tmp_path: Path) -> Callable[..., DatasetOptions]:
    def make(argument: object = "", *, root: Path = tmp_path, offline: bool = True) -> DatasetOptions:
        return DatasetOptions(argument=str(argument), root=root, offline=offline, files=files)

    return make


@pytest.fixture
def paint() -> Callable[[Path], Path]:
    """Write a 5 x 3 image whose colour follows from its path, in the format of its suffix."""

    def make(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        hue = zlib.crc32(path.as_posix().encode(errors="surrogateescape")) / 2**32
        colour = tuple(round(255 * v) for v in colorsys.hsv_to_rgb(hue, 1.0, 1.0))
        Image.new("RGB", (5, 3), colour).save(path)
        return path

    return make


@pytest.fixture
def plant(paint: Callable[[Path], Path], tmp_path: Path) -> Callable[..., Path]:
    """Lay out class folders: ``plant("x", {"train/owl": 3})`` makes three images in ``x/train/owl``."""

    def make(name: str, tree: dict[str, int]) -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for folder, count in tree.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                paint(root / folder / f"image_{number:04d}.png")
        return root

    return make
