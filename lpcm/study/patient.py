"""A feature store for processes that share it: a block is encoded by one of them, the others wait and read it.

Refuses to hold up anybody after a death: the lock is the operating system's and goes with the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from lpcm.plugin.contracts import Encoder, Sample
from lpcm.store.digest import digest_of
from lpcm.store.features import Extracted, FeatureStore
from lpcm.store.files import FileDigests

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lpcm.encoders.extract import Progress


class PatientStore(FeatureStore):
    """A :class:`FeatureStore` in which encoding an encoder's blocks is one process's turn at a time.

    Args:
        root: folder of the store.
        files: digests of image files.
        threads: of torch while this process encodes, since the others wait then; bits can depend on their number,
            so it is that of a run in one process.
    """

    def __init__(self, root: Path, files: FileDigests, threads: int) -> None:
        super().__init__(root, files)
        self._threads = threads
        self._before: int | None = None

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
        """Features of samples; its seconds hold the wait for others."""
        started = time.perf_counter()
        with self._turn(encoder):
            found = super().images(
                encoder, samples, batch=batch, workers=workers, strict=strict, progress=progress
            )
        return replace(found, seconds=time.perf_counter() - started)

    def texts(self, encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features of texts."""
        with self._turn(encoder):
            return super().texts(encoder, texts)

    @contextmanager
    def _turn(self, encoder: Encoder) -> Iterator[None]:
        lock = self.root / "locks" / f"{digest_of(encoder.digest())[:16]}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            try:
                yield
            finally:
                self._calm()

    def _check(self, encoder: Encoder) -> str:
        """Called when something has to be encoded, and never for what is kept: torch is not imported to read."""
        import torch

        if self._before is None:
            self._before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        return super()._check(encoder)

    def _calm(self) -> None:
        """Go back to the threads of a worker, if anything was encoded."""
        if self._before is not None:
            import torch

            torch.set_num_threads(self._before)
            self._before = None
