"""Decoding images in worker processes, batch after batch in order, a few batches ahead of the reader.

Workers are started afresh (spawn) and import Pillow and numpy only: they are there in a fraction of the time
that a torch loader's need, hold a tenth of the memory, and draw no random number. Refuses to hold a corrupt
image against anything but itself: it is named and left out.
"""

from __future__ import annotations

import multiprocessing
import os
import struct
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.Image import DecompressionBombError

from lpcm.encoders.preprocess import Transform
from lpcm.errors import LpcmError
from lpcm.plugin.contracts import ImageSource

_MOST_WORKERS = 16
# Below this many images one process is done before workers have begun.
_WORKERS_PAY_FROM = 128
# Batches a worker may be ahead: enough that the encoder never waits, little enough to stay in memory.
_AHEAD = 2
# What decoders raise on damaged files. Anything else is a program's fault, not held against the image.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, DecompressionBombError)


@dataclass(frozen=True)
class Failure:
    """An image that could not be read.

    Args:
        row: its place in what was asked.
        reason: what the decoder said.
        lasting: the file's content is at fault, so that trying again is of no use.
    """

    row: int
    reason: str
    lasting: bool


@dataclass(frozen=True, eq=False)
class Decoded:
    """A batch of images.

    Args:
        pixels: (m, size, size, 3) uint8.
        rows: m places in the batch, ascending.
        failures: the others.
    """

    pixels: NDArray[np.uint8]
    rows: tuple[int, ...]
    failures: tuple[Failure, ...]


def decode(transform: Transform, sources: Sequence[ImageSource]) -> Decoded:
    """Decode one batch, in this process."""
    pixels: list[NDArray[np.uint8]] = []
    rows: list[int] = []
    failures: list[Failure] = []
    for row, source in enumerate(sources):
        found = _one(transform, source, row)
        if isinstance(found, Failure):
            failures.append(found)
        else:
            pixels.append(found)
            rows.append(row)
    size = transform.record.size
    return Decoded(
        np.stack(pixels) if pixels else np.zeros((0, size, size, 3), np.uint8), tuple(rows), tuple(failures)
    )


def decode_all(
    transform: Transform, batches: Iterable[Sequence[ImageSource]], workers: int
) -> Generator[Decoded, None, None]:
    """Decode batches in their order.

    Args:
        transform: sent to each worker.
        batches: read only as far ahead as workers are.
        workers: processes; 0 decodes in this one.

    Raises:
        LpcmError: when a worker dies.
    """
    if workers == 0:
        for batch in batches:
            yield decode(transform, batch)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    waiting: deque[Future[Decoded]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(decode, transform, batch))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise LpcmError(
            f"one of {workers} decoding processes died",
            "Out of memory, or a script without `if __name__ == '__main__':`. Try --workers 0.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def default_workers(images: int, device: str = "cpu") -> int:
    """How many decoding processes help: none for a few images, half the cores beside an encoder on them."""
    if images < _WORKERS_PAY_FROM:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_WORKERS, cores if device != "cpu" else cores // 2))


def _one(transform: Transform, source: ImageSource, row: int) -> NDArray[np.uint8] | Failure:
    try:
        with source.open() as image:
            return transform.pixels(image)
    except _DAMAGE as error:
        # An error number comes from the operating system (a full file table, a lost network drive),
        # not from the content: that may be gone the next time.
        lasting = not (isinstance(error, OSError) and error.errno is not None)
        return Failure(row, f"{type(error).__name__}: {error}", lasting)
