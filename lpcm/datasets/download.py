"""Datasets that live under the data root and can be fetched. Refuses to fetch when offline, or to trust a half.

A download is made in a folder of another name beside the final one and renamed when it is whole, so that one
which was killed is never taken for the data.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.listing import PHOTO, ListedDataset, Listing
from lpcm.errors import DataError, MissingError
from lpcm.plugin.contracts import DatasetOptions


class DownloadableDataset(ListedDataset):
    """A dataset in a folder of its own under the data root.

    Class attributes say what is expected:
        known_as: name of the dataset.
        folders: names that its folder may have; the first that is there is used.
        parts: files and folders that must be in it.
        tree: its layout, drawn, without the folder's own line.
        megabytes: size of the download.
        unread: what may lie there instead, and why it is not read; by name.
    """

    known_as: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    parts: ClassVar[tuple[str, ...]]
    tree: ClassVar[str]
    megabytes: ClassVar[int]
    terms: ClassVar[str]
    prompts: ClassVar[tuple[str, ...]] = PHOTO
    unread: ClassVar[dict[str, str]] = {}

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(self.known_as, options.files, templates=self.prompts, licence=self.terms)
        self.root = options.root
        self.offline = options.offline

    @abstractmethod
    def _read(self, folder: Path) -> Listing:
        """List what is in the dataset's folder."""

    @abstractmethod
    def _fetch(self, into: Path) -> str:
        """Download into an empty folder, with a progress bar; return the name of the folder made there."""

    def _list(self) -> Listing:
        return self._read(self._folder())

    def _folder(self) -> Path:
        there = [self.root / name for name in self.folders if (self.root / name).is_dir()]
        for folder in there:
            if all((folder / part).exists() for part in self.parts):
                return folder
        if there:
            missing = [part for part in self.parts if not (there[0] / part).exists()]
            raise DataError(
                f"{self.name}: {there[0]} is there but {' and '.join(missing)} in it {_are(missing)} missing; "
                f"it holds {_holds(there[0])}. Expected:\n{self._drawn()}",
                f"A download may have been cut off: complete it, or remove {there[0]} and type --allow-download.",
            )
        if self.offline:
            raise self._missing()
        return self._download()

    def _missing(self) -> MissingError:
        looked = " and ".join(str(self.root / name) for name in self.folders)
        instead = "".join(
            f"\n{self.root / name} is there, but {why}."
            for name, why in self.unread.items()
            if (self.root / name).exists()
        )
        return MissingError(
            f"{self.name} is not on disk: looked for {looked}. Expected:\n{self._drawn()}{instead}",
            f"Type --allow-download to fetch it ({self.megabytes} MB; licence: {self.licence}), "
            "or --data-root DIR to say where it is.",
        )

    def _drawn(self) -> str:
        lines = [f"  {self.root}/", f"  └── {self.folders[0]}/"]
        return "\n".join(lines + [f"      {line}" for line in self.tree.strip("\n").splitlines()])

    def _download(self) -> Path:
        self.root.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{self.name}.", suffix=".partial", dir=self.root))
        try:
            made = self._fetch(partial)
            os.replace(partial / made, self.root / made)
        except RuntimeError as error:  # torchvision's word for a wrong checksum
            raise DataError(
                f"{self.name}: what was downloaded is not the official archive ({error})",
                "Try again; if it stays so, the file has changed at its source: fetch it by hand.",
            ) from error
        except OSError as error:
            if (
                error.errno is not None
                and not isinstance(error, ConnectionError)
                and error.filename is not None
            ):
                raise  # the disk, not the network: full, or not writable
            raise MissingError(
                f"{self.name} could not be downloaded ({error}). Expected:\n{self._drawn()}",
                "Try again with a network, or lay it out by hand and type --data-root DIR.",
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return self.root / made


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
        first = folders or sorted(gone)
        what = "folders" if folders else "files"
        more = f" and {len(first) - 3} more" if len(first) > 3 else ""
        raise DataError(
            f"{name}: {len(wanted) - len(gone)} of the {len(wanted)} images that {source} lists are in "
            f"{folder}; missing {what}: {', '.join(first[:3])}{more}",
            f"A download may have been cut off: fetch it anew, or make {source} fit.",
        )


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _holds(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return "nothing"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
