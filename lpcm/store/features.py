"""Feature blocks, kept by what they were computed from: a hit is right by construction, any change is a miss.

One file a shard of samples, ``features/KEY[:2]/KEY.safetensors`` under the store's root, with tensors
``features`` (m, d) float32 and ``rows`` (m,) int64, the places in the shard that could be read, and why the
others could not. It refuses to trust a file whose SHA-256 does not match: that shard is computed anew.
Reading what is kept imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError
from lpcm.plugin.contracts import Encoder, Sample, StoredFeatures
from lpcm.store.atomic import write_bytes
from lpcm.store.digest import digest_of
from lpcm.store.files import FileDigests
from lpcm.store.versions import versions_of

if TYPE_CHECKING:
    from lpcm.encoders.canary import Finding
    from lpcm.encoders.extract import Progress

SHARD = 256
"""Samples a file: a kill loses at most the work on one of them."""

SCHEMA = 1
"""Raised whenever this code or the extraction changes what features come out: everything older is a miss."""


class StoreWarning(UserWarning):
    """A kept block could not be read, or a new one not be kept; the features handed on are right."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Extracted:
    """Features of a list of samples.

    Args:
        features: (m, d) float32.
        rows: (m,) places in the list of the samples that could be read, ascending.
        failed: (id, reason) of the others.
        seconds: wall-clock time of this call.
        bytes: size of the block, features and rows.
        computed: images that were encoded in this call; 0 when all was kept.
        canary: ``"matched"``, ``"first use"``, or empty when nothing had to be encoded.
    """

    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    failed: tuple[tuple[str, str], ...]
    seconds: float
    bytes: int
    computed: int
    canary: str = ""


@dataclass(frozen=True, eq=False)
class _Entry:
    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    failed: tuple[tuple[int, str], ...]  # place in the shard, reason


class FeatureStore:
    """Computes features once.

    Args:
        root: folder of the store; blocks lie in ``features/``, first answers of encoders in ``canaries/``.
        files: digests of image files, remembered between runs.
    """

    def __init__(self, root: Path, files: FileDigests) -> None:
        self.root = root
        self.files = files
        self._canaries: dict[str, Finding] = {}

    def images(
        self,
        encoder: Encoder,
        samples: Sequence[Sample],
        *,
        batch: int | None = None,
        workers: int | None = None,
        strict: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> Extracted:
        """Features of samples, encoded where they are not kept yet.

        Args:
            encoder: reads images, or looks features up by id (``StoredFeatures``).
            samples: in the order in which features are wanted.
            batch: images a batch, ``None`` for the default; it is no part of the address.
            workers: decoding processes, ``None`` for as many as help.
            strict: a corrupt image is fatal.
            progress: called after each batch with a ``Progress``.

        Raises:
            DataError: when an image is corrupt and ``strict``, when all are, when features are not finite.
            UsageError: when a sample has no image.
        """
        started = time.perf_counter()
        if isinstance(encoder, StoredFeatures):
            found = np.asarray(encoder.lookup([sample.id for sample in samples]), dtype=np.float32)
            return Extracted(
                features=found,
                rows=np.arange(len(samples)),
                failed=(),
                seconds=time.perf_counter() - started,
                bytes=found.nbytes,
                computed=0,
            )
        shards = [samples[start : start + SHARD] for start in range(0, len(samples), SHARD)]
        keys = self._image_keys(encoder, shards)
        entries = [self._read(key, encoder.dim) for key in keys]
        missing = [place for place, entry in enumerate(entries) if entry is None]
        canary = ""
        if missing:
            from lpcm.encoders.extract import encode_images

            canary = self._check(encoder)
            encoded = encode_images(
                encoder,
                [shards[place] for place in missing],
                batch=batch,
                workers=workers,
                strict=strict,
                progress=progress,
            )
            for block in encoded:
                place = missing[block.shard]
                entry = _Entry(block.features, block.rows, tuple((f.row, f.reason) for f in block.failures))
                if all(failure.lasting for failure in block.failures):
                    self._write(keys[place], entry)
                entries[place] = entry
        return _joined(
            encoder,
            samples,
            [entry for entry in entries if entry is not None],
            strict,
            started,
            missing,
            canary,
        )

    def texts(self, encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features of texts, (q, d) float32, encoded where they are not kept yet."""
        if isinstance(encoder, StoredFeatures):
            return np.asarray(encoder.encode_texts(texts).numpy(), dtype=np.float32)
        parts = [np.zeros((0, encoder.dim), np.float32)]
        for start in range(0, len(texts), SHARD):
            shard = list(texts[start : start + SHARD])
            key = digest_of([SCHEMA, "texts", encoder.digest(), versions_of("torch"), shard])
            entry = self._read(key, encoder.dim)
            if entry is None:
                from lpcm.encoders.extract import encode_texts

                self._check(encoder)
                entry = _Entry(encode_texts(encoder, shard), np.arange(len(shard)), ())
                self._write(key, entry)
            parts.append(entry.features)
        return np.concatenate(parts)

    def path(self, key: str) -> Path:
        """Where the block of a key is kept."""
        return self.root / "features" / key[:2] / f"{key}.safetensors"

    def _image_keys(self, encoder: Encoder, shards: Sequence[Sequence[Sample]]) -> list[str]:
        about = [SCHEMA, "images", encoder.digest(), versions_of("torch", "pillow")]
        return [
            digest_of([*about, [(sample.id, self._fingerprint(sample)) for sample in shard]])
            for shard in shards
        ]

    def _fingerprint(self, sample: Sample) -> str:
        if sample.image is None:
            return ""
        try:
            return sample.image.fingerprint(self.files)
        except (OSError, DataError) as error:
            # The decoder will meet the same fault, name the image and keep nothing of this shard.
            return f"unreadable: {error}"

    def _check(self, encoder: Encoder) -> str:
        from lpcm.encoders import canary

        digest = encoder.digest()
        if digest not in self._canaries:
            self._canaries[digest] = canary.check(encoder, self.root / "canaries")
        return self._canaries[digest].verdict.value

    def _read(self, key: str, dim: int) -> _Entry | None:
        path = self.path(key)
        if not path.exists():
            return None
        try:
            entry = _read_file(path)
            if entry.features.ndim != 2 or entry.features.shape[1] != dim:
                raise _DamagedError(f"its features have shape {entry.features.shape}, expected (m, {dim})")
        except _DamagedError as error:
            warnings.warn(
                f"{path} is damaged ({error}): its features are computed anew", StoreWarning, stacklevel=3
            )
            return None
        return entry

    def _write(self, key: str, entry: _Entry) -> None:
        from safetensors.numpy import save

        failed = json.dumps(entry.failed)
        digest = _payload_digest(key, entry.features, entry.rows, failed)
        data = save({"features": entry.features, "rows": entry.rows}, {"failed": failed, "sha256": digest})
        try:
            write_bytes(self.path(key), data)
        except OSError as error:
            # Hours of encoding are worth more than the cache: the run goes on, the next one computes again.
            warnings.warn(f"features cannot be kept in {self.root}: {error}", StoreWarning, stacklevel=3)


def verify_file(path: Path) -> str:
    """What is wrong with a kept block, as the rest of a sentence about its file; empty when it is whole."""
    try:
        _read_file(path)
    except _DamagedError as error:
        return f"is damaged: {error}"
    return ""


class _DamagedError(Exception):
    """A kept block is not what its digest says."""


def _read_file(path: Path) -> _Entry:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            features, rows = file.get_tensor("features"), file.get_tensor("rows")
        # The file's name is its key: a block under another key is not believed either.
        if about.get("sha256") != _payload_digest(path.stem, features, rows, about.get("failed", "")):
            raise _DamagedError("its SHA-256 does not match")
        failed = tuple((int(row), str(reason)) for row, reason in json.loads(about["failed"]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise _DamagedError(str(error)) from error
    return _Entry(features, rows, failed)


def _payload_digest(key: str, features: NDArray[Any], rows: NDArray[Any], failed: str) -> str:
    state = hashlib.sha256(f"{key} {features.shape} {features.dtype} {rows.dtype} {failed}".encode())
    state.update(np.ascontiguousarray(features).data)
    state.update(np.ascontiguousarray(rows).data)
    return state.hexdigest()


def _joined(
    encoder: Encoder,
    samples: Sequence[Sample],
    entries: Sequence[_Entry],
    strict: bool,
    started: float,
    missing: Sequence[int],
    canary: str,
) -> Extracted:
    failed = tuple(
        (samples[place * SHARD + row].id, reason)
        for place, entry in enumerate(entries)
        for row, reason in entry.failed
    )
    if failed and (strict or len(failed) == len(samples)):
        name, reason = failed[0]
        raise DataError(
            f"{len(failed)} of {len(samples)} images cannot be read, first {name!r}: {reason}",
            "Mend or remove them, or leave out --strict to go on without them." if strict else "",
        )
    features = np.concatenate(
        [np.zeros((0, encoder.dim), np.float32), *(entry.features for entry in entries)]
    )
    rows = [entry.rows + place * SHARD for place, entry in enumerate(entries)]
    return Extracted(
        features=features,
        rows=np.concatenate([np.zeros(0, np.int64), *rows]),
        failed=failed,
        seconds=time.perf_counter() - started,
        bytes=features.nbytes + sum(row.nbytes for row in rows),
        computed=sum(len(entries[place].rows) for place in missing),
        canary=canary,
    )
