"""A bench that remembers what a task asked of it. It holds no test label, so that none can leak.

It refuses the test block as the real bench does, and notes the attempt even when the task swallows the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import SealError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block, Metric, TextPrompts
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind
from lpcm.plugin.truth import Captions, FactorKind, Factors, Partition, Roster
from lpcm.testing.data import make_class_rows

if TYPE_CHECKING:
    from PIL.Image import Image

CLASSES = 5
DOMAINS = ("near", "far", "other")
ROWS = {"train": 160, "val": 30, "test": 41}
_CAPTIONS = 2  # an image


@dataclass(frozen=True, eq=False)
class World:
    """A small dataset of separable classes with everything known of it.

    Args:
        block: features, labels, ids and domains of all samples.
        splits: the split of each.
        factors: label, one coordinate, and an angle.
    """

    block: Block
    splits: tuple[str, ...]
    factors: Factors

    @classmethod
    def make(cls) -> World:
        """The world that every check sees."""
        rows = {split: make_class_rows(n, Key.of(0).fold(split)) for split, n in ROWS.items()}
        features = np.concatenate([r.features for r in rows.values()])
        labels = np.concatenate([r.labels for r in rows.values()])
        ids = tuple(f"{split}/{i}" for split, n in ROWS.items() for i in range(n))
        domains = tuple(DOMAINS[(i // CLASSES) % len(DOMAINS)] for i in range(len(ids)))
        angle = np.arctan2(features[:, 1], features[:, 0]) % (2 * np.pi)
        factors = Factors(
            ("label", "coordinate", "angle"),
            (FactorKind.CATEGORICAL, FactorKind.CONTINUOUS, FactorKind.ANGLE),
            np.stack([labels, features[:, 2], angle], axis=1).astype(np.float64),
        )
        splits = tuple(split for split, n in ROWS.items() for _ in range(n))
        return cls(Block(features, labels, ids, domains), splits, factors)

    @property
    def roster(self) -> Roster:
        """All samples without their labels."""
        return Roster(self.block.ids, self.block.domains, self.splits)

    def rows(self, side: str, partition: Partition | None) -> NDArray[np.intp]:
        """Places of a side's samples."""
        if partition is not None:
            return np.asarray(getattr(partition, side), dtype=np.intp)
        return np.flatnonzero(np.array(self.splits) == side)

    def captions(self, rows: NDArray[np.intp]) -> Captions:
        """Two captions an image, each a noisy copy of its features."""
        owners = np.repeat(np.arange(len(rows)), _CAPTIONS).astype(np.int64)
        noise = Key.of(0).fold("captions", len(rows)).generator().standard_normal((len(owners), 1))
        features = (self.block.features[rows][owners] * (1 + 0.01 * noise)).astype(np.float32)
        return Captions(
            tuple(f"text {i} of {rows[i // _CAPTIONS]}" for i in range(len(owners))), features, owners
        )


class SpyBench:
    """A bench of five separable classes; see ``lpcm.plugin.contracts.Bench``.

    Args:
        key: root of the cell's randomness.
        world: what there is.
        partition: which samples are on which side; ``None`` for the splits.
        oracle: whether the task said that it needs test labels.

    Attributes:
        misdeeds: what the task tried that it must not.
    """

    def __init__(
        self, key: Key, world: World, partition: Partition | None = None, oracle: bool = False
    ) -> None:
        self.key = key
        self.classes = tuple(f"class {label}" for label in range(CLASSES))
        self.allowed: tuple[int, ...] | None = None
        self.misdeeds: list[str] = []
        self._world = world
        self._partition = partition
        self._oracle = oracle
        self._open = True

    def close(self) -> None:
        """End fitting."""
        self._open = False

    def splits(self) -> Sequence[str]:
        """The sides that may be asked for."""
        self._note("splits()")
        return tuple(s for s in ("train", "val") if len(self._world.rows(s, self._partition)))

    def block(self, split: str) -> Block:
        """Features and labels of the training side."""
        return self._world.block.take(self._rows("block", split))

    def captions(self, split: str) -> Captions:
        """Captions of the training side."""
        return self._world.captions(self._rows("captions", split))

    def factors(self, split: str) -> Factors:
        """Factors of the training side."""
        return self._world.factors.take(self._rows("factors", split))

    def oracle(self) -> Block:
        """The test block with its labels, for a task that said so."""
        self._note("oracle()")
        if not self._oracle:
            self.misdeeds.append("oracle() while fitting")
            raise SealError("a task asked for test labels while fitting")
        return self._world.block.take(self._world.rows("test", self._partition))

    def prompts(self, templates: Sequence[str] | None = None) -> TextPrompts:
        """One unit vector a class."""
        self._note("prompts()")
        return TextPrompts(make_class_rows(CLASSES, Key.of(0)).centres, self.classes)

    def texts(self, strings: Sequence[str]) -> NDArray[np.float32]:
        """One unit vector a text."""
        self._note("texts()")
        width = self._world.block.features.shape[1]
        drawn = np.stack(
            [Key.of(0).fold("text", text).generator().standard_normal(width) for text in strings]
        )
        unit: NDArray[np.float64] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return unit.astype(np.float32)

    def pictures(self, ids: Sequence[str], size: int) -> Sequence[Image]:
        """A grey square for each sample of the training side."""
        from PIL import Image as Pillow

        self._note("pictures()")
        training = {
            self._world.block.ids[i] for s in self.splits() for i in self._world.rows(s, self._partition)
        }
        foreign = [name for name in ids if name not in training]
        if foreign:
            self.misdeeds.append(f"pictures of {foreign[0]!r}")
            raise SealError(f"a task asked for the picture of {foreign[0]!r}, which it does not train on")
        return [Pillow.new("RGB", (size, size), (i % 256,) * 3) for i in range(len(ids))]

    def disentangler(self, rows: NDArray[np.float32], key: Key, **settings: Any) -> Unchanged:
        """One that leaves features as they are."""
        self._note("disentangler()")
        return Unchanged().fit(rows)

    def adapter(self, **settings: Any) -> NearestMean:
        """One that takes the nearest class mean."""
        self._note("adapter()")
        return NearestMean()

    def metric(self, name: str, **settings: Any) -> Metric:
        """An installed metric."""
        self._note("metric()")
        host = PluginHost.discover()
        made: Metric = host.load(host.find(Kind.METRIC, name))(**settings)
        return made

    def _rows(self, call: str, split: str) -> NDArray[np.intp]:
        self._note(f"{call}({split!r})")
        rows = self._world.rows(split, self._partition) if split in ("train", "val") else ()
        if not len(rows):
            if self._open and split not in ("train", "val"):
                self.misdeeds.append(f"{call}({split!r}) while fitting")
            raise SealError(f"a task asked for the {split} block", "predict() receives the test features")
        return np.asarray(rows)

    def _note(self, call: str) -> None:
        if not self._open:
            self.misdeeds.append(f"{call} after fitting was closed")
            raise SealError(f"a task called {call} after fitting was closed")


class Unchanged:
    """A disentangler that leaves features as they are."""

    def fit(self, X: NDArray[np.float32]) -> Unchanged:
        """Take the identity as the map."""
        self.components_ = np.eye(X.shape[1])
        self.mean_ = np.zeros(X.shape[1])
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows as they are."""
        return np.asarray(X, dtype=np.float32)

    def report(self) -> Mapping[str, Any]:
        """Nothing to say."""
        return {}


class NearestMean:
    """An adapter that takes the nearest class mean; a class without rows has its text instead."""

    selection = "none: nothing is chosen"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> NearestMean:
        """Take the means."""
        self._means = np.full((classes, features.shape[1]), np.inf)
        for label in range(classes):
            if (labels == label).any():
                self._means[label] = features[labels == label].mean(axis=0)
            elif text is not None:
                self._means[label] = text.features[label]
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Minus the squared distances, (q, c)."""
        differences = features[:, None, :].astype(np.float64) - self._means[None]
        distances: NDArray[np.float64] = np.square(differences).sum(axis=2)
        return -distances

    def report(self) -> Mapping[str, Any]:
        """Nothing to say."""
        return {}
