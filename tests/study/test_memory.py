"""Freed memory stays with a command and its workers, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

from lpcm.study import memory

# Page faults of taking, filling and freeing 64 MB, after some rounds: aligned blocks find their places slowly.
PROGRAM = """
import resource, sys
import torch
from lpcm.study.memory import keep_freed_memory
told = keep_freed_memory() if sys.argv[1] == "keep" else False
faults = []
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(told, faults[-1])
"""


def faults(mode, **environment):
    plain = {name: value for name, value in os.environ.items() if name not in memory._USERS_OWN}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode],
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    told, count = done.stdout.split()
    return told == "True", int(count)


@pytest.mark.skipif(not memory._is_glibc(), reason="the C library is not glibc")
def test_a_block_that_was_freed_is_taken_again_without_page_faults():
    told, kept = faults("keep")
    assert told
    # Huge pages would fault 32 times for 64 MB, small ones 16,384 times; what is kept, hardly at all.
    assert kept < 16 < faults("leave")[1]


@pytest.mark.skipif(not memory._is_glibc(), reason="the C library is not glibc")
def test_thresholds_that_the_user_set_stay():
    told, count = faults("keep", MALLOC_MMAP_THRESHOLD_="65536")
    assert not told
    assert count > 16


def test_elsewhere_nothing_is_told(monkeypatch):
    for name in memory._USERS_OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(memory, "_is_glibc", lambda: False)
    assert memory.keep_freed_memory() is False
