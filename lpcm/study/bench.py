"""The bench: all that a task may touch while it fits. It holds no test label and closes when fitting ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from lpcm.errors import DataError, SealError
from lpcm.keys import Key
from lpcm.plugin.contracts import Adapter, Block, Disentangler, Metric, TextPrompts
from lpcm.plugin.records import Modality
from lpcm.plugin.truth import Captions, Factors
from lpcm.store.digest import digest_of
from lpcm.study.features import Features, Side
from lpcm.study.pictures import thumbnails
from lpcm.study.seal import Seal
from lpcm.tasks.threads import blas_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


@dataclass(frozen=True)
class Maker:
    """Makes the cell's disentangler, adapter or metric.

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


@dataclass(frozen=True)
class Makers:
    """What a cell can have made for it; ``None`` where the cell has no such axis."""

    disentangler: Maker | None
    adapter: Maker | None
    metric: Callable[[str], Maker]


class CellBench:
    """The bench of one cell; see :class:`lpcm.plugin.contracts.Bench`."""

    def __init__(
        self, features: Features, sides: Mapping[str, Side], seal: Seal[Any], key: Key, makers: Makers
    ) -> None:
        self.key = key
        self.classes = features.dataset.classes
        self._features = features
        self._sides = sides
        self._seal = seal
        self._makers = makers

    @property
    def allowed(self) -> tuple[int, ...] | None:
        """Labels that the domains of the test side can hold; ``None`` when that is all of them."""
        return self._features.allowed(self._sides["test"])

    def splits(self) -> Sequence[str]:
        """Names of the sides that may be asked for."""
        return tuple(name for name in self._sides if name != "test")

    def block(self, split: str) -> Block:
        """Features and labels of a side."""
        side = self._side(split)
        return Block(side.features, side.labels, side.ids, side.domains)

    def prompts(self, templates: Sequence[str] | None = None) -> TextPrompts | None:
        """Text features of the classes; ``None`` when the encoder reads no text."""
        self._refuse_if_closed()
        return self._features.prompts(templates)

    def texts(self, strings: Sequence[str]) -> NDArray[np.float32] | None:
        """Features of any texts, (m, d); ``None`` when the encoder reads no text."""
        self._refuse_if_closed()
        if Modality.TEXT not in self._features.encoder.modalities:
            return None
        return self._features.texts(strings)

    def captions(self, split: str) -> Captions:
        """Captions of a side with their features."""
        return self._features.captions(self._side(split))

    def factors(self, split: str) -> Factors | None:
        """Factors of a side; ``None`` when the dataset knows none."""
        return self._features.factors(self._side(split))

    def pictures(self, ids: Sequence[str], size: int) -> Sequence[Image]:
        """RGB thumbnails of samples of the training side."""
        return thumbnails([s for name in self.splits() for s in self._side(name).samples], ids, size)

    def oracle(self) -> Block:
        """The test block with its labels, where the task said that this cell needs them."""
        self._refuse_if_closed()
        self._seal.lend()
        test = self._sides["test"]
        return Block(test.features, test.labels, test.ids, test.domains)

    def disentangler(self, rows: NDArray[np.float32], key: Key, **settings: Any) -> Disentangler:
        """The cell's disentangler fitted on these rows."""
        self._refuse_if_closed()
        maker = there(self._makers.disentangler, "disentangler")
        merged = maker.merged(settings)
        address = digest_of([maker.name, merged, key.state.hex(), rows.shape, _digest_rows(rows)])

        def make() -> Disentangler:
            made: Disentangler = maker.attribute(random_state=key.random_state(), **merged)
            # Iterations on small matrices lose much to threads that wait for each other on a busy machine.
            with threadpool_limits(blas_threads(rows.size * rows.shape[1]), user_api="blas"):
                return made.fit(rows)

        return self._features.disentangler(address, make)

    def adapter(self, **settings: Any) -> Adapter:
        """A new adapter of the cell's kind."""
        self._refuse_if_closed()
        maker = there(self._makers.adapter, "adapter")
        made: Adapter = maker.attribute(**maker.merged(settings))
        return made

    def metric(self, name: str, **settings: Any) -> Metric:
        """A metric by its name."""
        self._refuse_if_closed()
        maker = self._makers.metric(name)
        made: Metric = maker.attribute(**maker.merged(settings))
        return made

    def _side(self, split: str) -> Side:
        self._refuse_if_closed()
        if split == "test":
            raise SealError(
                "a task asked for the test block while fitting", "predict() receives the test features"
            )
        if split not in self._sides:
            raise DataError(
                f"dataset {self._features.dataset.name!r} has no split {split!r}: it has {', '.join(self._sides)}"
            )
        return self._sides[split]

    def _refuse_if_closed(self) -> None:
        if self._seal.fitting_closed:
            raise SealError("a task went on fitting after fitting was closed")


def there(maker: Maker | None, kind: str) -> Maker:
    """The maker of an axis. Raises ``DataError`` where the cell has none."""
    if maker is None:
        raise DataError(
            f"a task asked for a {kind}, and its cell names none", f"give its cells an axis {kind!r}"
        )
    return maker


def _digest_rows(rows: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()
