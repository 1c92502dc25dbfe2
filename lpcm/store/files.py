"""Digests of files on disk, remembered by path, size and time, so that a second run reads no image again."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from lpcm.errors import UsageError
from lpcm.store.digest import file_digest

# A file changed twice within the clock's grain keeps its size and time: a digest is remembered only once
# the file is older than this.
_SETTLED_NS = 2_000_000_000
_FLUSH = 500  # new digests written at a time: a commit each would cost more than the hashing


class FileDigests:
    """SHA-256 of files, kept in one SQLite file between runs.

    A remembered digest is used only while the file's size, modification time and inode are the same.

    Args:
        path: the SQLite file; ``None`` remembers nothing beyond this object.

    Raises:
        UsageError: when the file cannot be made.

    Example:
        >>> with FileDigests(None) as files:
        ...     len(files.digest(Path(__file__)))
        64
    """

    def __init__(self, path: Path | None = None) -> None:
        self._learnt: dict[str, tuple[int, int, int, str]] = {}
        if path is None:
            self._database = _open(":memory:")
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _open(str(path))
        except (OSError, sqlite3.OperationalError) as error:
            raise UsageError(
                f"the store cannot be written: {path}: {error}", "give --store another folder"
            ) from error
        except sqlite3.DatabaseError:
            # A damaged memory is forgotten: every digest can be computed again.
            path.unlink()
            self._database = _open(str(path))

    def digest(self, path: Path) -> str:
        """Hex SHA-256 of one file. Raises ``OSError`` when it cannot be read."""
        return self.digests([path])[0]

    def digests(self, paths: Sequence[Path]) -> list[str]:
        """Hex SHA-256 of many files, in their order."""
        return [self._digest(path) for path in paths]

    def close(self) -> None:
        """Write what was learnt and close the database; the object is of no use afterwards."""
        self._flush()
        self._database.close()

    def _digest(self, path: Path) -> str:
        name = str(path.absolute())
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
        known = (
            self._learnt.get(name)
            or self._database.execute(
                "SELECT size, time, inode, digest FROM files WHERE path = ?", (name,)
            ).fetchone()
        )
        if known and known[:3] == stamp:
            return str(known[3])
        digest = file_digest(path)
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            self._learnt[name] = (*stamp, digest)
            if len(self._learnt) >= _FLUSH:
                self._flush()
        return digest

    def _flush(self) -> None:
        rows = [(name, *row) for name, row in self._learnt.items()]
        if rows:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)
            self._learnt.clear()

    def __enter__(self) -> FileDigests:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(name: str) -> sqlite3.Connection:
    database = sqlite3.connect(name, timeout=30)
    database.execute(
        "CREATE TABLE IF NOT EXISTS files"
        " (path TEXT PRIMARY KEY, size INTEGER, time INTEGER, inode INTEGER, digest TEXT) WITHOUT ROWID"
    )
    database.commit()
    return database
