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
        outcomes: file of the per-sample outcomes (safetensors: ``outcomes``, ``draws``, ``predictions``).
        exhibits: files that the task made beside the row, such as pictures.
    """

    text: str
    row: dict[str, Any]
    outcomes: Path
    exhibits: tuple[Path, ...] = ()


class DamagedError(Exception):
    """A file's content is not what its digest says."""


def read_row(path: Path) -> str:
    """The line of JSON in a row's file. Raises ``DamagedError`` when it does not match its digest."""
    text, _, digest = path.read_bytes().rstrip(b"\n").partition(b"\n")
    if _sha256(text).encode() != digest:
        raise DamagedError("does not match its SHA-256")
    return text.decode()


def exhibits_of(row: Mapping[str, Any]) -> Mapping[str, str]:
    """Names of the row's exhibits with their SHA-256."""
    exhibits: Mapping[str, str] = row["digests"].get("exhibits", {})
    return exhibits


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
        exhibits = {self._exhibit(key, name): digest for name, digest in exhibits_of(row).items()}
        if not all(path.is_file() and _sha256(path.read_bytes()) == d for path, d in exhibits.items()):
            return None
        return StoredRow(row_text, row, outcomes_file, tuple(exhibits))

    def put(
        self,
        key: str,
        row: Mapping[str, Any],
        tensors: Mapping[str, NDArray[np.generic]],
        exhibits: Mapping[str, bytes] | None = None,
    ) -> StoredRow:
        """Store a finished row with its outcomes and read it back.

        Args:
            key: its address.
            row: JSON values; ``digests.outcomes`` and ``digests.exhibits`` are filled in here.
            tensors: ``outcomes`` (q,), ``draws`` (b,), ``predictions`` (n,), as far as there are such.
            exhibits: file names to contents.
        """
        exhibits = exhibits or {}
        from safetensors.numpy import save

        row_file, outcomes_file = self._paths(key)
        outcomes = save(dict(tensors))
        digests = {**row["digests"], "outcomes": _sha256(outcomes)}
        if exhibits:
            digests["exhibits"] = {name: _sha256(content) for name, content in exhibits.items()}
        row = {**row, "key": key, "digests": digests}
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
        write_bytes(outcomes_file, outcomes)
        for name, content in exhibits.items():
            write_bytes(self._exhibit(key, name), content)
        write_bytes(row_file, f"{text}\n{_sha256(text.encode())}\n".encode())
        kept = tuple(self._exhibit(key, name) for name in exhibits)
        return StoredRow(text, json.loads(text), outcomes_file, kept)

    def _exhibit(self, key: str, name: str) -> Path:
        return self._root / key[:2] / key / name

    def _paths(self, key: str) -> tuple[Path, Path]:
        folder = self._root / key[:2]
        return folder / f"{key}.json", folder / f"{key}.safetensors"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
