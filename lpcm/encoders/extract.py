"""Extraction: samples go through worker processes that decode, and through an encoder that answers.

Batches are cut at fixed places within each shard, so that a row's bits do not depend on which other shards
were already there. It refuses to guess about a corrupt image: it is named and left out, or fatal on request.
Nothing here draws a random number.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.encoders.decode import Failure, decode_all, default_workers
from lpcm.encoders.preprocess import Transform
from lpcm.errors import DataError, UsageError
from lpcm.plugin.contracts import Encoder, ImageSource, Sample

BATCH_CPU = 64
BATCH_CUDA = 256


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
    halving = _Halving(batch)
    normalise = Normaliser(transform, device)
    started, done = time.perf_counter(), 0
    parts: list[NDArray[np.float32]] = []
    rows: list[int] = []
    failures: list[Failure] = []
    with closing(decode_all(transform, _batches(shards, plan, batch), workers)) as decoded:
        for place, ((shard, start), images) in enumerate(zip(plan, decoded, strict=True)):
            names = [sample.id for sample in shards[shard][start : start + batch]]
            if images.failures and strict:
                worst = images.failures[0]
                raise DataError(
                    f"image {names[worst.row]!r} cannot be read: {worst.reason}",
                    "Mend or remove it, or leave out --strict to go on without it.",
                )
            if images.rows:
                features = halving.run(partial(_answer, encoder, normalise), torch.from_numpy(images.pixels))
                _refuse_bad(encoder, features, [names[row] for row in images.rows])
                parts.append(features)
            rows += [start + row for row in images.rows]
            failures += [replace(failure, row=start + failure.row) for failure in images.failures]
            done += len(names)
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


def _preprocess(encoder: Encoder) -> Any:
    if encoder.preprocess is None:
        raise UsageError(f"encoder {encoder.name!r} reads no images", "See `lpcm-eval ls encoders`.")
    return encoder.preprocess


def _batches(
    shards: Sequence[Sequence[Sample]], plan: Sequence[tuple[int, int]], batch: int
) -> Iterator[list[ImageSource]]:
    for shard, start in plan:
        yield [_image(sample) for sample in shards[shard][start : start + batch]]


def _image(sample: Sample) -> ImageSource:
    if sample.image is None:
        raise UsageError(
            f"sample {sample.id!r} has no image, only stored features",
            "Use the encoder that reads them: --encoder features:FILE",
        )
    return sample.image


class Normaliser:
    """uint8 (n, size, size, 3) to normalised float32 (n, 3, size, size), with the bits of ``Transform``."""

    def __init__(self, transform: Transform, device: torch.device) -> None:
        record = transform.record
        self._device = device
        self._mean = torch.tensor(record.mean, dtype=torch.float32, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(record.std, dtype=torch.float32, device=device).view(1, 3, 1, 1)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised pixels on the device."""
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


def _answer(encoder: Encoder, normalise: Normaliser, pixels: torch.Tensor) -> NDArray[np.float32]:
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
