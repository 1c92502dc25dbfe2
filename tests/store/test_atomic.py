"""Atomic writes: a reader sees the old file or the new one."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from lpcm.store.atomic import atomic_write, write_bytes


def test_the_new_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "deep" / "file"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_an_error_in_the_block_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(OSError, match="disk full"), atomic_write(path) as file:
        file.write(b"half of the new")
        raise OSError("disk full")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_kill_in_the_middle_leaves_the_old_content(tmp_path):
    path = tmp_path / "file"
    write_bytes(path, b"old")
    code = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from lpcm.store.atomic import atomic_write
        with atomic_write(Path({str(path)!r})) as file:
            file.write(b"half of the new")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
