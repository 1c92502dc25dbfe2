"""Features of one encoder on one dataset, read or computed once and shared by all cells of a study.

Hands out sides (train, val, test): by the dataset's own splits or by a task's partition. Gives whole samples with
their labels: for the runner alone, a task sees them only through ``lpcm.study.bench``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lpcm.errors import DataError, LpcmError
from lpcm.plugin.contracts import Dataset, Disentangler, Encoder, Sample, TextPrompts
from lpcm.plugin.records import Modality
from lpcm.plugin.truth import Captions, Factors, Partition, Roster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lpcm.store.features import Extracted, FeatureStore

SIDES = ("train", "val", "test")
"""What a dataset's splits and the parts of a partition are called."""


@dataclass(frozen=True, eq=False)
class Side:
    """Readable samples of one side with their features; rows are aligned.

    Args:
        features: (n, d) float32.
        samples: n samples.
        split: name of each row's split in the dataset, n strings or one for all of them.
        rows: (n,) place of each row among ``dataset.samples(split)``.
    """

    features: NDArray[np.float32]
    samples: Sequence[Sample]
    split: Sequence[str]
    rows: NDArray[np.int64]

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The (n,) labels."""
        return np.array([sample.label for sample in self.samples], dtype=np.int64)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The n sample ids."""
        return tuple(sample.id for sample in self.samples)

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """The n domain names."""
        return tuple(sample.domain for sample in self.samples)

    def __len__(self) -> int:
        return len(self.samples)


class Features:
    """All that the cells of one encoder on one dataset read.

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
        self._splits: dict[str, Side] = {}
        self._unusable: dict[str, Exception] = {}
        self._partitions: dict[str, Mapping[str, Side]] = {}
        self._texts: dict[tuple[str, ...], NDArray[np.float32]] = {}
        self._prompts: dict[tuple[str, ...], TextPrompts] = {}
        self._disentanglers: dict[str, Disentangler] = {}
        self.failed: dict[str, str] = {}
        self.seconds = 0.0
        self.bytes = 0

    def read_test(self) -> None:
        """Read or compute what every cell needs now: the test split and the prompts; other splits when asked for."""
        if "test" in self.dataset.splits:
            self.split("test")
        self.prompts()

    def split(self, name: str) -> Side:
        """The readable samples of one of the dataset's splits."""
        if name not in self.dataset.splits:
            raise DataError(
                f"dataset {self.dataset.name!r} has no split {name!r}: it has {', '.join(self.dataset.splits)}",
                f"give it a folder or column {name!r}",
            )
        if name in self._unusable:
            raise self._unusable[name]
        if name not in self._splits:
            try:
                self._splits[name] = self._read(name)
            except Exception as error:  # a plugin may raise anything; the next cell is told the same at once
                self._unusable[name] = error
                raise
        return self._splits[name]

    def _read(self, name: str) -> Side:
        samples = self.dataset.samples(name)
        extracted = self._extract(self.encoder, samples, name)
        self.failed |= dict(extracted.failed)
        self.seconds += extracted.seconds
        self.bytes += extracted.features.nbytes
        if not len(extracted.features):
            raise DataError(f"split {name!r} of dataset {self.dataset.name!r} has no readable image")
        readable = [samples[i] for i in extracted.rows]
        rows = np.asarray(extracted.rows, dtype=np.int64)
        return Side(extracted.features, readable, (name,) * len(readable), rows)

    @cached_property
    def roster(self) -> Roster:
        """The readable samples of all splits without their labels."""
        sides = [self.split(name) for name in self.dataset.splits]
        return Roster(
            tuple(i for side in sides for i in side.ids),
            tuple(d for side in sides for d in side.domains),
            tuple(s for side in sides for s in side.split),
        )

    def sides(self, partition: Partition | None) -> Mapping[str, Side]:
        """Sides by name, read when they are looked up; one that a dataset or partition does not have is not there.

        Raises:
            DataError: when there is no test side.
            LpcmError: when parts of the partition overlap or point outside of the roster.
        """
        if partition is None:
            if "test" not in self.dataset.splits:
                self.split("test")  # says what is missing
            return _Splits(self)
        parts = {name: np.asarray(getattr(partition, name), dtype=np.int64) for name in SIDES}
        address = hashlib.sha256(b"|".join(part.tobytes() for part in parts.values())).hexdigest()
        if address not in self._partitions:
            _check_partition(parts, len(self.roster.ids))
            self._partitions[address] = {
                name: self._gather(part) for name, part in parts.items() if len(part) or name != "val"
            }
        return self._partitions[address]

    def factors(self, side: Side) -> Factors | None:
        """Factors of a side's samples; ``None`` when the dataset knows none."""
        known: Callable[[str], Factors] | None = getattr(self.dataset, "factors", None)
        if known is None:
            return None
        split_of = np.array(side.split)
        values: NDArray[np.float64] | None = None
        for name in dict.fromkeys(side.split):
            here = split_of == name
            factors = known(name)
            if values is None:
                values = np.empty((len(side), factors.values.shape[1]))
            values[here] = factors.values[side.rows[here]]
        if values is None or not np.isfinite(values).all():
            raise DataError(f"dataset {self.dataset.name!r} has factors that are not finite, or no samples")
        return Factors(factors.names, factors.kinds, values)

    def captions(self, side: Side) -> Captions:
        """All captions of a side's samples, in the order of the samples."""
        if Modality.TEXT not in self.encoder.modalities:
            raise DataError(
                f"encoder {self.encoder.name!r} reads no text, so captions have no features",
                "choose an encoder that reads both; see: lpcm-eval ls encoders",
            )
        texts = tuple(text for sample in side.samples for text in sample.captions)
        without = [sample.id for sample in side.samples if not sample.captions]
        if not texts:
            raise DataError(
                f"dataset {self.dataset.name!r} has no captions",
                "choose one that has; see: lpcm-eval ls datasets",
            )
        if without:
            raise DataError(
                f"{len(without)} of {len(side)} images of dataset {self.dataset.name!r} have no caption, "
                f"first {without[0]!r}",
                "give each image at least one caption, or leave it out",
            )
        owners = np.repeat(np.arange(len(side)), [len(sample.captions) for sample in side.samples])
        return Captions(texts, self.texts(texts), owners.astype(np.int64))

    def texts(self, strings: Sequence[str]) -> NDArray[np.float32]:
        """Features of texts, (m, d), remembered while the study runs."""
        asked = tuple(strings)
        if asked not in self._texts:
            self._texts[asked] = self._store.texts(self.encoder, list(asked))
        return self._texts[asked]

    def prompts(self, templates: Sequence[str] | None = None) -> TextPrompts | None:
        """A unit vector a class: the normalised mean of its prompts' unit vectors."""
        if Modality.TEXT not in self.encoder.modalities:
            return None
        templates = tuple(templates) if templates else self.dataset.templates or ("{}",)
        if templates not in self._prompts:
            self._prompts[templates] = self._ensemble(templates)
        return self._prompts[templates]

    def _ensemble(self, templates: tuple[str, ...]) -> TextPrompts:
        classes = self.dataset.classes
        features = _unit(
            self.texts([template.format(name) for name in classes for template in templates]).astype(
                np.float64
            )
        )
        means = _unit(features.reshape(len(classes), len(templates), -1).mean(axis=1))
        tuner = getattr(self.encoder, "prompt_tuner", None)
        return TextPrompts(means.astype(np.float32), classes, tuner)

    def allowed(self, side: Side) -> tuple[int, ...] | None:
        """Labels that the domains of a side can hold; ``None`` when that is all of them."""
        known: Mapping[str, Sequence[int]] = getattr(self.dataset, "domain_classes", {})
        domains = set(side.domains)
        if not domains or not domains <= set(known):
            return None
        return tuple(sorted({label for domain in domains for label in known[domain]}))

    def disentangler(self, address: str, make: Callable[[], Disentangler]) -> Disentangler:
        """A fitted disentangler, made once for each address, since most cells of a study share it."""
        if address not in self._disentanglers:
            self._disentanglers[address] = make()
        return self._disentanglers[address]

    def _gather(self, places: NDArray[np.int64]) -> Side:
        """The side of these places in the roster."""
        start = 0
        pieces: list[tuple[NDArray[np.bool_], NDArray[np.int64], Side]] = []
        for side in self._in_order():
            here = (places >= start) & (places < start + len(side))
            local = places[here] - start
            if len(local) == len(places) == len(side) and np.array_equal(local, np.arange(len(side))):
                return side  # a whole split as it is: no copy of what may be gigabytes
            if len(local):
                pieces.append((here, local, side))
            start += len(side)
        n = len(places)
        features = np.empty((n, self.encoder.dim), np.float32)
        rows = np.empty(n, np.int64)
        samples = np.empty(n, dtype=object)
        split = np.empty(n, dtype=object)
        for here, local, side in pieces:
            features[here] = side.features[local]
            rows[here] = side.rows[local]
            samples[here] = [side.samples[i] for i in local]
            split[here] = [side.split[i] for i in local]
        return Side(features, list(samples), tuple(split), rows)

    def _in_order(self) -> Iterator[Side]:
        return (self.split(name) for name in self.dataset.splits)


class _Splits(Mapping[str, Side]):
    """The dataset's splits as sides, each read when it is looked up."""

    def __init__(self, features: Features) -> None:
        self._features = features

    def __getitem__(self, name: str) -> Side:
        if name not in self._features.dataset.splits:
            raise KeyError(name)
        return self._features.split(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._features.dataset.splits)

    def __len__(self) -> int:
        return len(self._features.dataset.splits)


def _check_partition(parts: Mapping[str, NDArray[np.int64]], n: int) -> None:
    places = np.concatenate(list(parts.values()))
    if len(places) and (places.min() < 0 or places.max() >= n):
        raise LpcmError(f"a task's partition points at {places.min()} to {places.max()} of {n} samples")
    if len(np.unique(places)) != len(places):
        raise LpcmError("a task's partition has a sample on two sides, or twice on one")
    for name in ("train", "test"):
        if not len(parts[name]):
            raise DataError(f"the {name} side has no sample")


def _unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return unit
