from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lpcm_lite.datasets.emoji import Emoji
from lpcm_lite.datasets.icons import Icons
from lpcm_lite.encoders.towers import Lite0, Lite0Raw

from lpcm.plugin.contracts import DatasetOptions, EncoderOptions
from lpcm.store.files import FileDigests


@pytest.fixture(scope="session")
def files() -> Iterator[FileDigests]:
    with FileDigests(None) as store:
        yield store


@pytest.fixture(scope="session")
def lite0(files: FileDigests) -> Lite0:
    return Lite0(EncoderOptions(files=files, offline=True))


@pytest.fixture(scope="session")
def lite0_raw(files: FileDigests) -> Lite0Raw:
    return Lite0Raw(EncoderOptions(files=files, offline=True))


@pytest.fixture(scope="session")
def emoji(files: FileDigests) -> Emoji:
    return Emoji(DatasetOptions(root=Path("nowhere"), offline=True, files=files))


@pytest.fixture(scope="session")
def icons(files: FileDigests) -> Icons:
    return Icons(DatasetOptions(root=Path("nowhere"), offline=True, files=files))


@pytest.fixture(scope="session")
def in_fresh_process() -> Callable[[str], str]:
    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
