"""Datasets that live under the data root and can be fetched. Refuses to fetch when offline, or to trust half.

A download is made in a folder of another name beside the final one and renamed when it is whole, so that one
which was killed is never taken for the data.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

from lpcm.datasets.names import some
from lpcm.datasets.placed import PlacedDataset
from lpcm.errors import DataError, MissingError


class DownloadableDataset(PlacedDataset):
    """A dataset under the data root that can be fetched.

    Beside those of ``PlacedDataset`` it has a class attribute:
        megabytes: size of the download.
    """

    megabytes: ClassVar[int]

    @abstractmethod
    def _fetch(self, into: Path) -> str:
        """Download into an empty folder, with a progress bar; return the name of the folder made there."""

    def _folder(self) -> Path:
        folder = self._find()
        if folder is None and self.offline:
            raise self._missing()
        return folder or self._download()

    def _how_to_get(self) -> str:
        return (
            f"Type --allow-download to fetch it ({self.megabytes:,} MB; licence: {self.licence}), "
            "or --data-root DIR to say where it is."
        )

    def _how_to_complete(self, folder: Path) -> str:
        return f"Perhaps a download was cut off: complete it, or remove {folder} and type --allow-download."

    def _download(self) -> Path:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{self.name}.", suffix=".partial", dir=self.root))
        except OSError as error:
            raise MissingError(
                f"{self.root} cannot be written ({error.strerror})", "Type --data-root DIR"
            ) from error
        try:
            self._place(partial / self._fetch(partial))
        except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
            raise MissingError(
                f"{self.name} could not be downloaded ({error}). Expected:\n{self._drawn()}",
                "Try again with a network, or lay it out by hand and type --data-root DIR.",
            ) from error
        except RuntimeError as error:  # torchvision's word for a wrong checksum
            raise DataError(
                f"{self.name}: what was downloaded is not the official archive ({error})",
                "Try again; if it stays so, the file has changed at its source: fetch it by hand.",
            ) from error
        except OSError as error:
            raise MissingError(
                f"{self.name} could not be kept under {self.root} ({error.strerror or error})",
                f"Unpacking it takes {3 * self.megabytes:,} MB; type --data-root DIR for another place.",
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        found = self._find()
        if found is None:
            raise self._missing()
        return found

    def _place(self, made: Path) -> None:
        target = self.root / made.name
        try:
            os.replace(made, target)
        except OSError:
            if not target.is_dir():  # else another process was faster, and its copy is as good
                raise


def check_images(name: str, folder: Path, wanted: Sequence[str], source: str) -> None:
    """Check that images are on disk, each folder listed once.

    Args:
        name: the dataset, for the message.
        folder: what the paths are relative to.
        wanted: relative paths with forward slashes.
        source: the file that lists them, for the message.

    Raises:
        DataError: naming the folders and files that are missing, and how many were found.
    """
    names: dict[str, set[str]] = {}
    for path in wanted:
        parent, _, file = path.rpartition("/")
        names.setdefault(parent, set()).add(file)
    gone: list[str] = []
    folders: list[str] = []
    for parent in sorted(names):
        place = folder / parent
        if not place.is_dir():
            folders.append(f"{parent}/")
            gone += [f"{parent}/{file}" for file in names[parent]]
        else:
            there = set(os.listdir(place))
            gone += [f"{parent}/{file}" if parent else file for file in names[parent] - there]
    if gone:
        what = f"folders: {some(folders)}" if folders else f"files: {some(sorted(gone))}"
        found = f"{len(wanted) - len(gone)} of the {len(wanted)} images"
        raise DataError(
            f"{name}: {found} that {source} lists are in {folder}; missing {what}",
            f"Perhaps a download was cut off: fetch it anew, or make {source} fit.",
        )
