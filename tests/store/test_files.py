"""Remembered digests of files: never older than the file."""

import os
import time

import pytest

from lpcm.store import files as files_module
from lpcm.store.files import FileDigests


@pytest.fixture
def counted(monkeypatch):
    """Counts how many files are really read."""
    reads = []
    original = files_module.file_digest
    monkeypatch.setattr(files_module, "file_digest", lambda path: reads.append(path) or original(path))
    return reads


def settle(path, seconds=10):
    """Give a file a modification time that lies safely in the past."""
    past = time.time_ns() - seconds * 10**9
    os.utime(path, ns=(past, past))


def test_a_settled_file_is_read_once_even_across_processes(tmp_path, counted):
    (tmp_path / "a").write_bytes(b"x")
    settle(tmp_path / "a")
    for _ in range(3):
        with FileDigests(tmp_path / "db.sqlite") as files:
            files.digest(tmp_path / "a")
    assert len(counted) == 1


def test_a_file_written_just_now_is_not_remembered(tmp_path, counted):
    (tmp_path / "a").write_bytes(b"x")
    with FileDigests(tmp_path / "db.sqlite") as files:
        files.digest(tmp_path / "a")
        files.digest(tmp_path / "a")
    assert len(counted) == 2


@pytest.mark.parametrize("change", ["content", "size", "replaced"])
def test_a_changed_file_gets_its_new_digest(tmp_path, change):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    settle(path, 20)
    with FileDigests(tmp_path / "db.sqlite") as files:
        before = files.digest(path)
        if change == "replaced":
            (tmp_path / "b").write_bytes(b"new")
            settle(tmp_path / "b", 20)
            os.replace(tmp_path / "b", path)
        else:
            path.write_bytes(b"new" if change == "content" else b"longer")
            settle(path, 15)
        assert files.digest(path) != before


def test_a_damaged_memory_is_forgotten(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "db.sqlite").write_bytes(b"this is no database, " * 100)
    with FileDigests(tmp_path / "db.sqlite") as files:
        assert len(files.digest(tmp_path / "a")) == 64


def test_a_missing_file_is_an_error(tmp_path):
    with FileDigests() as files, pytest.raises(FileNotFoundError):
        files.digest(tmp_path / "none")


def test_many_digests_come_in_the_order_asked(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    with FileDigests() as files:
        paths = [tmp_path / n for n in "cab"]
        assert files.digests(paths) == [files.digest(p) for p in paths]
