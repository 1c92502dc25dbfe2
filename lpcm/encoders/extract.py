"""Extraction: samples go through worker processes that decode, and through an encoder that answers.

Batches are cut at fixed places within each shard, so that a row's bits do not depend on which other shards
were already there. It refuses to guess about a corrupt image: it is named and left out, or fatal on request.
No global random generator is touched: the loader has one of its own.
"""

from __future__ import annotations

import os
import shutil
import struct
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import DecompressionBombError

from lpcm.encoders.preprocess import Transform
from lpcm.errors import DataError, UsageError
from lpcm.plugin.contracts import Encoder, ImageSource, Sample

BATCH_CPU = 64
BATCH_CUDA = 256
_MOST_WORKERS = 16
# Below this many images the workers would still be importing torch when one process is done.
_WORKERS_PAY_FROM = 256
# What decoders raise on damaged files. Anything else is a program's fault, not held against the image.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, DecompressionBombError)


class ExtractionWarning(UserWarning):
    """The extraction goes on, but not quite as asked."""


@dataclass(frozen=True)
class Progress:
    """How far an extraction is.

    Args:
        done: images encoded or found to be corrupt.
        total: images to encode in this extraction; what the store already has is not counted.
        seconds: since it started.
    """

    done: int
    total: int
    seconds: float

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Failure:
    """An image that could not be read.

    Args:
        row: place in its shard.
        reason: what the decoder said.
        lasting: the file's content is at fault, so that trying again is of no use.
    """

    row: int
    reason: str
    lasting: bool


@dataclass(frozen=True, eq=False)
class ShardFeatures:
    """Features of one shard.

    Args:
        shard: place of the shard in what was asked.
        features: (m, d) float32.
        rows: (m,) places in the shard of the images that could be read, ascending.
        failures: the others.
    """

    shard: int
    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    failures: tuple[Failure, ...]


def encode_images(
    encoder: Encoder,
    shards: Sequence[Sequence[Sample]],
    *,
    batch: int | None = None,
    workers: int | None = None,
    strict: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[ShardFeatures]:
    """Encode shards of samples one after the other; each is handed on as soon as it is whole.

    Args:
        encoder: reads images; an optional attribute ``device`` says where its pixels are wanted.
        shards: samples with images.
        batch: images a batch; by default 64 on a processor and 256 on a GPU. Halved when it does not fit.
        workers: decoding processes; 0 decodes in this one. By default as many as help.
        strict: the first corrupt image is fatal.
        progress: called after each batch.

    Yields:
        ``ShardFeatures`` in the order of ``shards``.

    Raises:
        DataError: for a corrupt image when ``strict``, and for features that are not finite.
        UsageError: when the encoder or a sample has no images, or ``batch`` or ``workers`` make no sense.
    """
    transform = Transform(_preprocess(encoder))
    device = torch.device(str(getattr(encoder, "device", "cpu")))
    batch = batch if batch is not None else (BATCH_CUDA if device.type == "cuda" else BATCH_CPU)
    total = sum(len(samples) for samples in shards)
    workers = workers if workers is not None else default_workers(total, device.type)
    if batch < 1 or workers < 0:
        raise UsageError(
            f"batch is {batch}, workers {workers}: expected batch of 1 or more, workers of 0 or more"
        )
    plan = [(shard, start) for shard, samples in enumerate(shards) for start in range(0, len(samples), batch)]
    loader = _loader(transform, _Batches(shards, plan, batch), batch, workers)
    halving = _Halving(batch)
    normalise = _Normaliser(transform, device)
    started, done = time.perf_counter(), 0
    parts: list[NDArray[np.float32]] = []
    rows: list[int] = []
    failures: list[Failure] = []
    for place, ((shard, start), (pixels, kept, failed)) in enumerate(zip(plan, loader, strict=True)):
        samples = shards[shard]
        if failed and strict:
            raise DataError(
                f"image {samples[start + failed[0][0]].id!r} cannot be read: {failed[0][1]}",
                "Mend or remove it, or leave out --strict to go on without it.",
            )
        if kept:
            encode = partial(_answer, encoder, normalise)
            features = halving.run(encode, torch.as_tensor(pixels))
            _refuse_bad(encoder, features, [samples[start + row].id for row in kept])
            parts.append(features)
        rows += [start + row for row in kept]
        failures += [Failure(start + row, reason, lasting) for row, reason, lasting in failed]
        done += len(kept) + len(failed)
        if progress is not None:
            progress(Progress(done, total, time.perf_counter() - started))
        if place + 1 == len(plan) or plan[place + 1][0] != shard:
            block = np.concatenate(parts) if parts else np.zeros((0, encoder.dim), np.float32)
            yield ShardFeatures(shard, block, np.asarray(rows, np.int64), tuple(failures))
            parts, rows, failures = [], [], []


def encode_texts(encoder: Encoder, texts: Sequence[str], *, batch: int = 256) -> NDArray[np.float32]:
    """Encode texts in batches that begin at fixed places.

    Returns:
        (q, d) float32.

    Raises:
        DataError: for features that are not finite.
    """
    halving = _Halving(batch)
    parts = [np.zeros((0, encoder.dim), np.float32)]
    for start in range(0, len(texts), batch):
        chunk = list(texts[start : start + batch])
        features = halving.run(lambda some: _rows(encoder.encode_texts(some)), chunk)
        _refuse_bad(encoder, features, chunk)
        parts.append(features)
    return np.concatenate(parts)


def default_workers(images: int, device: str = "cpu") -> int:
    """How many decoding processes help: none for a few images, half the cores beside an encoder on them."""
    if images < _WORKERS_PAY_FROM:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_WORKERS, cores if device != "cpu" else cores // 2))


def _preprocess(encoder: Encoder) -> Any:
    if encoder.preprocess is None:
        raise UsageError(f"encoder {encoder.name!r} reads no images", "See `lpcm-eval ls encoders`.")
    return encoder.preprocess


# --- decoding, in worker processes ---------------------------------------------------------------

_Failed = list[tuple[int, str, bool]]


class _Batches:
    """The sampler: yields the image sources of each batch, so that workers get only what they need."""

    def __init__(self, shards: Sequence[Sequence[Sample]], plan: list[tuple[int, int]], batch: int) -> None:
        self._shards, self._plan, self._batch = shards, plan, batch

    def __len__(self) -> int:
        return len(self._plan)

    def __iter__(self) -> Iterator[tuple[ImageSource, ...]]:
        for shard, start in self._plan:
            sources = []
            for sample in self._shards[shard][start : start + self._batch]:
                if sample.image is None:
                    raise UsageError(
                        f"sample {sample.id!r} has no image, only stored features",
                        "Use the encoder that reads them: --encoder features:FILE",
                    )
                sources.append(sample.image)
            yield tuple(sources)


@dataclass(frozen=True)
class _Decoder:
    """What the loader calls a dataset: decodes a batch of sources to uint8 pixels."""

    transform: Transform

    def __getitem__(self, sources: tuple[ImageSource, ...]) -> tuple[Any, list[int], _Failed]:
        pixels: list[NDArray[np.uint8]] = []
        kept: list[int] = []
        failed: _Failed = []
        for row, source in enumerate(sources):
            decoded = self._decoded(source)
            if isinstance(decoded, tuple):
                failed.append((row, *decoded))
            else:
                pixels.append(decoded)
                kept.append(row)
        size = self.transform.record.size
        return (np.stack(pixels) if pixels else np.zeros((0, size, size, 3), np.uint8)), kept, failed

    def _decoded(self, source: ImageSource) -> NDArray[np.uint8] | tuple[str, bool]:
        try:
            with source.open() as image:
                return self.transform.pixels(image)
        except _DAMAGE as error:
            # An error number comes from the operating system (a full file table, a lost network drive),
            # not from the content: that may be gone the next time.
            lasting = not (isinstance(error, OSError) and error.errno is not None)
            return f"{type(error).__name__}: {error}", lasting


def _through_memory(item: tuple[Any, list[int], _Failed]) -> tuple[Any, list[int], _Failed]:
    pixels, kept, failed = item
    return torch.from_numpy(pixels), kept, failed


def _through_pipe(item: tuple[Any, list[int], _Failed]) -> tuple[Any, list[int], _Failed]:
    return item


def _loader(transform: Transform, batches: _Batches, batch: int, workers: int) -> Any:
    # Tensors cross in shared memory, which a container may have little of: then arrays go through the pipe.
    need = batch * transform.record.size**2 * 3 * 3 * max(workers, 1)
    shared = os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 2 * need
    return torch.utils.data.DataLoader(
        cast(Any, _Decoder(transform)),
        batch_size=None,
        sampler=cast(Any, batches),
        num_workers=workers,
        collate_fn=cast(Any, _through_memory if shared else _through_pipe),
        multiprocessing_context="spawn" if workers else None,
        # Without a generator of its own a loader draws its workers' seed from torch's global one.
        generator=torch.Generator().manual_seed(0),
    )


# --- encoding, in this process -------------------------------------------------------------------


class _Normaliser:
    """uint8 (n, size, size, 3) to normalised float32 (n, 3, size, size), with the bits of ``Transform``."""

    def __init__(self, transform: Transform, device: torch.device) -> None:
        record = transform.record
        self._device = device
        self._mean = torch.tensor(record.mean, dtype=torch.float32, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(record.std, dtype=torch.float32, device=device).view(1, 3, 1, 1)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        channels_first = pixels.to(self._device).permute(0, 3, 1, 2).contiguous()
        return channels_first.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)


class _Halving:
    """Runs a function on pieces of a batch that fit in memory; the size that fitted is remembered."""

    def __init__(self, size: int) -> None:
        self._size = size

    def run(self, encode: Callable[[Any], NDArray[np.float32]], items: Any) -> NDArray[np.float32]:
        parts: list[NDArray[np.float32]] = []
        start = 0
        while start < len(items):
            features = self._attempt(encode, items[start : start + self._size])
            if features is None:
                self._halve()
            else:
                parts.append(features)
                start += len(features)
        return np.concatenate(parts)

    def _attempt(
        self, encode: Callable[[Any], NDArray[np.float32]], items: Any
    ) -> NDArray[np.float32] | None:
        try:
            return encode(items)
        except (RuntimeError, MemoryError) as error:
            if self._size == 1 or not _is_out_of_memory(error):
                raise
            return None

    def _halve(self) -> None:
        # Outside of the except block: there the error would still hold the tensors of the failed attempt.
        half = -(-self._size // 2)
        warnings.warn(
            f"a batch of {self._size} does not fit in memory: going on with {half}",
            ExtractionWarning,
            stacklevel=5,
        )
        self._size = half
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # Torch's allocator for the processor has no class of error of its own.
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


def _answer(encoder: Encoder, normalise: _Normaliser, pixels: torch.Tensor) -> NDArray[np.float32]:
    return _rows(encoder.encode_images(normalise(pixels)))


def _rows(features: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(features.detach().to("cpu", torch.float32).numpy())


def _refuse_bad(encoder: Encoder, features: NDArray[np.float32], names: Sequence[str]) -> None:
    if features.shape != (len(names), encoder.dim):
        raise DataError(
            f"encoder {encoder.name!r} gave features of shape {features.shape}: "
            f"expected ({len(names)}, {encoder.dim})"
        )
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        raise DataError(
            f"encoder {encoder.name!r} gave features that are not finite for {int(bad.sum())} of "
            f"{len(names)} inputs, first {names[int(bad.argmax())]!r}",
            "Half precision overflows in some towers: try --precision fp32",
        )
