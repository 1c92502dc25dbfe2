"""Datasets in a folder of their own under the data root, put there by hand. Refuses to trust half of one.

``lpcm.datasets.download`` adds those that can be fetched.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from lpcm.datasets.listing import PHOTO, ListedDataset, Listing
from lpcm.datasets.names import some
from lpcm.errors import DataError, MissingError
from lpcm.plugin.contracts import DatasetOptions


class PlacedDataset(ListedDataset):
    """A dataset in a folder of its own under the data root.

    Class attributes say what is expected:
        known_as: name of the dataset.
        folders: names that its folder may have; the first that is there is used.
        parts: files and folders that must be in it.
        tree: its layout, drawn, without the folder's own line.
        home: where it is to be had, as a sentence would end: an address, a form to sign.
        unread: what may lie there instead, and why it is not read; by name.
    """

    known_as: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    parts: ClassVar[tuple[str, ...]]
    tree: ClassVar[str]
    home: ClassVar[str] = ""
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

    def _list(self) -> Listing:
        return self._read(self._folder())

    def _folder(self) -> Path:
        folder = self._find()
        if folder is None:
            raise self._missing()
        return folder

    def _needs(self) -> tuple[str, ...]:
        """What must be in the dataset's folder for what was asked of it."""
        return self.parts

    def _find(self) -> Path | None:
        """The dataset's folder, when one is there and whole."""
        parts = self._needs()
        there = [self.root / name for name in self.folders if (self.root / name).is_dir()]
        for folder in there:
            if all((folder / part).exists() for part in parts):
                return folder
        if not there:
            return None
        first = there[0]
        missing = some([part for part in parts if not (first / part).exists()])
        raise DataError(
            f"{self.name}: {first} is there, but lacks {missing}; it holds "
            f"{some(sorted(path.name for path in first.iterdir())) or 'nothing'}. Expected:\n{self._drawn()}",
            self._how_to_complete(first),
        )

    def _missing(self) -> MissingError:
        looked = " and ".join(str(self.root / name) for name in self.folders)
        instead = "".join(
            f"\n{self.root / name} is there, but {why}."
            for name, why in self.unread.items()
            if (self.root / name).exists()
        )
        return MissingError(
            f"{self.name} is not on disk: looked for {looked}. Expected:\n{self._drawn()}{instead}",
            self._how_to_get(),
        )

    def _how_to_get(self) -> str:
        return (
            f"It is laid out by hand (licence: {self.licence}): get it from {self.home}. "
            "Type --data-root DIR to say where it is."
        )

    def _how_to_complete(self, folder: Path) -> str:
        return f"Complete {folder}: its parts are to be had from {self.home}."

    def _drawn(self) -> str:
        lines = [f"  {self.root}/", f"  └── {self.folders[0]}/"]
        return "\n".join(lines + [f"      {line}" for line in self.tree.strip("\n").splitlines()])
