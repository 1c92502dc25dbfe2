"""The bench: all that a task may touch while it fits. It holds no test label and closes when fitting ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lpcm.errors import DataError, SealError
from lpcm.keys import Key
from lpcm.plugin.contracts import Adapter, Block, Dataset, Disentangler, Encoder, Sample, TextPrompts
from lpcm.plugin.records import Modality
from lpcm.store.digest import digest_of
from lpcm.study.seal import Seal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lpcm.store.features import Extracted, FeatureStore


class Features:
    """Feature blocks of one encoder on one dataset, read or computed once and shared by all cells.

    Args:
        encoder, dataset: which.
        store: where blocks are kept.
        extract: reads or computes the block of some samples; the runner adds progress and options.
    """

    def __init__(
        self,
        encoder: Encoder,
        dataset: Dataset,
        store: FeatureStore,
        extract: Callable[[Encoder, Sequence[Sample], str], Extracted],
    ) -> None:
        self.encoder = encoder
        self.dataset = dataset
        self._store = store
        self._extract = extract
        self._blocks: dict[str, Block] = {}
        self._test: tuple[NDArray[np.float32], list[Sample]] | None = None
        self._prompts: TextPrompts | None = None
        self._disentanglers: dict[str, Disentangler] = {}
        self.failed: dict[str, str] = {}
        self.seconds = 0.0
        self.bytes = 0

    def block(self, split: str) -> Block:
        """A labelled block of the training side."""
        if split not in self.dataset.splits:
            raise DataError(
                f"dataset {self.dataset.name!r} has no split {split!r}: it has {', '.join(self.dataset.splits)}"
            )
        if split not in self._blocks:
            features, samples = self._read(split)
            self._blocks[split] = Block(
                features,
                np.array([s.label for s in samples], dtype=np.int64),
                tuple(s.id for s in samples),
                tuple(s.domain for s in samples),
            )
        return self._blocks[split]

    def read_all(self) -> None:
        """Read or compute every block and the prompts now."""
        for split in self.dataset.splits:
            if split != "test":
                self.block(split)
        self.test()
        self.prompts()

    def test(self) -> tuple[NDArray[np.float32], Sequence[Sample]]:
        """Test features and the samples they are of, for the runner alone: a task never sees the samples."""
        if self._test is None:
            if "test" not in self.dataset.splits:
                raise DataError(
                    f"dataset {self.dataset.name!r} has no test split", "give it a folder or column 'test'"
                )
            self._test = self._read("test")
        return self._test

    def prompts(self) -> TextPrompts | None:
        """A unit vector a class: the normalised mean of its prompts' unit vectors."""
        if Modality.TEXT not in self.encoder.modalities:
            return None
        if self._prompts is None:
            classes, templates = self.dataset.classes, self.dataset.templates or ("{}",)
            texts = [template.format(name) for name in classes for template in templates]
            features = _unit(self._store.texts(self.encoder, texts).astype(np.float64))
            means = _unit(features.reshape(len(classes), len(templates), -1).mean(axis=1))
            self._prompts = TextPrompts(means.astype(np.float32), classes)
        return self._prompts

    def disentangler(self, address: str, make: Callable[[], Disentangler]) -> Disentangler:
        """A fitted disentangler, made once for each address, since most cells of a study share it."""
        if address not in self._disentanglers:
            self._disentanglers[address] = make()
        return self._disentanglers[address]

    def _read(self, split: str) -> tuple[NDArray[np.float32], list[Sample]]:
        samples = self.dataset.samples(split)
        extracted = self._extract(self.encoder, samples, split)
        self.failed |= dict(extracted.failed)
        self.seconds += extracted.seconds
        self.bytes += extracted.features.nbytes
        if not len(extracted.features):
            raise DataError(f"split {split!r} of dataset {self.dataset.name!r} has no readable image")
        return extracted.features, [samples[i] for i in extracted.rows]


@dataclass(frozen=True)
class Maker:
    """Makes the cell's disentangler or adapter.

    Args:
        name: full name of the offer.
        attribute: what its loader resolved to.
        settings: those of the study; they go before a task's.
    """

    name: str
    attribute: Callable[..., Any]
    settings: Mapping[str, Any]

    def merged(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """A task's settings with the study's put before them."""
        return {**settings, **self.settings}


class CellBench:
    """The bench of one cell; see :class:`lpcm.plugin.contracts.Bench`."""

    def __init__(self, features: Features, seal: Seal, key: Key, disentangler: Maker, adapter: Maker) -> None:
        self.key = key
        self.classes = features.dataset.classes
        self._features = features
        self._seal = seal
        self._disentangler = disentangler
        self._adapter = adapter

    def splits(self) -> Sequence[str]:
        """Names of the splits that may be asked for."""
        return tuple(s for s in self._features.dataset.splits if s != "test")

    def block(self, split: str) -> Block:
        """Features and labels of a split of the training side."""
        self._refuse_if_closed()
        if split == "test":
            raise SealError(
                "a task asked for the test block while fitting", "predict() receives the test features"
            )
        return self._features.block(split)

    def prompts(self) -> TextPrompts | None:
        """Text features of the classes; ``None`` when the encoder reads no text."""
        self._refuse_if_closed()
        return self._features.prompts()

    def disentangler(self, rows: NDArray[np.float32], key: Key, **settings: Any) -> Disentangler:
        """The cell's disentangler fitted on these rows."""
        self._refuse_if_closed()
        maker, merged = self._disentangler, self._disentangler.merged(settings)
        address = digest_of([maker.name, merged, key.state.hex(), rows.shape, _digest_rows(rows)])

        def make() -> Disentangler:
            made: Disentangler = maker.attribute(random_state=key.random_state(), **merged)
            return made.fit(rows)

        return self._features.disentangler(address, make)

    def adapter(self, **settings: Any) -> Adapter:
        """A new adapter of the cell's kind."""
        self._refuse_if_closed()
        made: Adapter = self._adapter.attribute(**self._adapter.merged(settings))
        return made

    def _refuse_if_closed(self) -> None:
        if self._seal.fitting_closed:
            raise SealError("a task went on fitting after fitting was closed")


def _digest_rows(rows: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return unit
