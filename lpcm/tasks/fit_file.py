"""Features of a file, for fitting a disentangler on rows from elsewhere. Refuses to unpickle anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, MissingError, UsageError, nearest

_FIELD = "features"
_READ = (".npz", ".npy", ".safetensors")


def read_features(path: Path) -> NDArray[np.float32]:
    """Read (n, d) features: a ``.npy`` file, or ``features`` of a ``.npz`` or ``.safetensors`` file.

    Raises:
        MissingError: when there is no such file.
        UsageError: when it is of another kind.
        DataError: when it holds no (n, d) array of numbers under that name.
    """
    if not path.is_file():
        raise MissingError(
            f"--fit-on names {path}, which is not a file", "expected train, shots or a features file"
        )
    if path.suffix not in _READ:
        raise UsageError(f"--fit-on was given {path.name}: expected a file ending in {', '.join(_READ)}")
    try:
        features = _open(path)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from error
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.number):
        raise DataError(
            f"{path} holds {features.dtype} of shape {features.shape}: expected numbers of shape (n, d)"
        )
    return features.astype(np.float32)


def _open(path: Path) -> NDArray[np.generic]:
    if path.suffix == ".npy":
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
        return array
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[np.generic]] = {
                name: archive[name] for name in archive.files if name == _FIELD
            }
            names = list(archive.files)
    else:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as archive:
                names = list(archive.keys())
                arrays = {name: archive.get_tensor(name) for name in names if name == _FIELD}
        except SafetensorError as error:
            raise DataError(f"{path} cannot be read as safetensors: {error}") from error
    if _FIELD not in arrays:
        raise DataError(
            f"{path} has no array called {_FIELD!r}: it has {', '.join(names) or 'none'}",
            nearest(_FIELD, names),
        )
    return arrays[_FIELD]
