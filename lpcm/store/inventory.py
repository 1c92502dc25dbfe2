"""What the store holds and whether it is whole. Reads; the only thing it removes is what it is told to."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpcm.store.results import DamagedError, exhibits_of, read_row

# Parts of the store that lpcm can make again; downloaded data sets (data/) are never touched.
_PARTS = ("features", "results", "canaries", "unfinished")


@dataclass(frozen=True)
class Damage:
    """A file that is not what its digest says."""

    path: Path
    reason: str


def inventory(store: Path) -> dict[str, Any]:
    """Files and bytes of each part, as JSON values."""
    counts: dict[str, Any] = {"folder": str(store)}
    for part in _PARTS:
        files = list(_files(store / part))
        counts[part] = f"{len(files)} files, {sum(f.stat().st_size for f in files) / 1e6:.1f} MB"
    return counts


def damages(store: Path) -> list[Damage]:
    """Every kept file whose content does not match its digest."""
    found = []
    for path in _files(store / "results"):
        if path.suffix == ".json" and (reason := _result_damage(path)):
            found.append(Damage(path, reason))
    for path in _files(store / "features"):
        if path.suffix == ".safetensors" and (reason := _feature_damage(path)):
            found.append(Damage(path, reason))
    return found


def prune(store: Path, days: float) -> tuple[int, int]:
    """Remove features and results not read or written for ``days``; returns files and bytes removed.

    Age is the newer of access and modification time, so that a store on a disk that keeps no
    access times is pruned by age alone.
    """
    limit = time.time() - days * 86_400
    files = bytes_ = 0
    for part in _PARTS:
        for path in list(_files(store / part)):
            status = path.stat()
            if max(status.st_atime, status.st_mtime) <= limit:
                path.unlink(missing_ok=True)
                files, bytes_ = files + 1, bytes_ + status.st_size
    return files, bytes_


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _result_damage(path: Path) -> str:
    try:
        row = json.loads(read_row(path))
        outcomes = path.with_suffix(".safetensors").read_bytes()
    except DamagedError as error:
        return str(error)
    except FileNotFoundError:
        return "has lost its outcomes"
    if row["key"] != path.stem:
        return "is stored under another row's key"
    if hashlib.sha256(outcomes).hexdigest() != row["digests"]["outcomes"]:
        return "has outcomes that do not match their SHA-256"
    for name, digest in exhibits_of(row).items():
        exhibit = path.with_suffix("") / name
        if not exhibit.is_file() or hashlib.sha256(exhibit.read_bytes()).hexdigest() != digest:
            return f"has lost or changed its exhibit {name}"
    return ""


def _feature_damage(path: Path) -> str:
    from lpcm.store.features import verify_file

    return verify_file(path)
