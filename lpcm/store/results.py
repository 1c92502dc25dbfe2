"""Results by key: a row as one line of JSON, and the per-sample outcomes that it sums up.

A row is stored after its outcomes and holds their digest; a second line holds the digest of the first. So a row
that can be read is whole. Rows are never rewritten: the same key gives the same bytes for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpcm.store.atomic import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class StoredRow:
    """A row that was read back.

    Args:
        text: its line of JSON, without the line end, byte for byte as it was written.
        row: the same, parsed.
        outcomes: file of the per-sample outcomes (safetensors: ``outcomes``, ``predictions``).
    """

    text: str
    row: dict[str, Any]
    outcomes: Path


class DamagedError(Exception):
    """A file's content is not what its digest says."""


def read_row(path: Path) -> str:
    """The line of JSON in a row's file. Raises ``DamagedError`` when it does not match its digest."""
    text, _, digest = path.read_bytes().rstrip(b"\n").partition(b"\n")
    if _sha256(text).encode() != digest:
        raise DamagedError("does not match its SHA-256")
    return text.decode()


class ResultStore:
    """Rows under one folder, two files a key.

    Args:
        root: the folder; it is made when the first row is stored.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, key: str) -> StoredRow | None:
        """The row of a key; ``None`` when there is none or when its files do not match their digests."""
        row_file, outcomes_file = self._paths(key)
        try:
            row_text = read_row(row_file)
            outcomes = outcomes_file.read_bytes()
        except (OSError, DamagedError):
            return None
        row = json.loads(row_text)
        if row["key"] != key or row["digests"]["outcomes"] != _sha256(outcomes):
            return None
        return StoredRow(row_text, row, outcomes_file)

    def put(self, key: str, row: Mapping[str, Any], tensors: Mapping[str, NDArray[np.generic]]) -> StoredRow:
        """Store a finished row with its outcomes and read it back.

        Args:
            key: its address.
            row: JSON values; ``digests.outcomes`` is filled in here.
            tensors: ``outcomes`` (n,) and ``predictions`` (n,).
        """
        from safetensors.numpy import save

        row_file, outcomes_file = self._paths(key)
        outcomes = save(dict(tensors))
        row = {**row, "key": key, "digests": {**row["digests"], "outcomes": _sha256(outcomes)}}
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        write_bytes(outcomes_file, outcomes)
        write_bytes(row_file, f"{text}\n{_sha256(text.encode())}\n".encode())
        return StoredRow(text, json.loads(text), outcomes_file)

    def _paths(self, key: str) -> tuple[Path, Path]:
        folder = self._root / key[:2]
        return folder / f"{key}.json", folder / f"{key}.safetensors"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
