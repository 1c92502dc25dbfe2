"""A bench of synthetic features that records what a task asks of it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from lpcm.adapters.records import RECORDS as ADAPTERS
from lpcm.disentanglers.records import RECORDS as DISENTANGLERS
from lpcm.errors import SealError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block, TextPrompts
from lpcm.plugin.records import Record

CLASSES = ("ant", "bee", "cat", "dog", "eel")
D = 17


def loaded(records: tuple[Record, ...], name: str) -> Any:
    (record,) = [record for record in records if record.name == name]
    module, _, attribute = record.loader.partition(":")
    return getattr(import_module(module), attribute)


def block(split: str, per_class: int) -> Block:
    generator = Key.of(0).fold("bench", split).generator()
    centres = Key.of(0).fold("centres").generator().standard_normal((len(CLASSES), D))
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    features = centres[labels] + 0.7 * generator.laplace(size=(len(labels), D))
    ids = tuple(f"{split}/{i}" for i in range(len(labels)))
    return Block(features.astype(np.float32), labels, ids, ("",) * len(labels))


TRAIN, VAL, TEST = block("train", 21), block("val", 5), block("test", 33)


class RecordingBench:
    """Gives what a bench gives; ``asked`` holds the rows of the unmixing and the settings asked for."""

    def __init__(
        self,
        *,
        seed: int = 0,
        disentangler: str = "none",
        adapter: str = "linear-probe",
        blocks: dict[str, Block] | None = None,
        text: bool = False,
    ) -> None:
        self.key = Key.of(seed).fold("cell", "digest")
        self.classes = CLASSES
        self.asked: dict[str, Any] = {}
        self._blocks = {"train": TRAIN, "val": VAL} if blocks is None else blocks
        self._disentangler, self._adapter, self._text = disentangler, adapter, text

    def splits(self) -> tuple[str, ...]:
        return tuple(self._blocks)

    def block(self, split: str) -> Block:
        if split == "test":
            raise SealError("a task asked for the test block")
        return self._blocks[split]

    def oracle(self) -> Block:
        self.asked["oracle"] = self.asked.get("oracle", 0) + 1
        return TEST

    def prompts(self) -> TextPrompts | None:
        if not self._text:
            return None
        centres = Key.of(0).fold("centres").generator().standard_normal((len(CLASSES), D))
        return TextPrompts((centres / np.linalg.norm(centres, axis=1)[:, None]).astype(np.float32), CLASSES)

    def disentangler(self, rows: np.ndarray, key: Key, **settings: Any) -> Any:
        self.asked |= {"rows": rows, "key": key, "disentangler": settings}
        made = loaded(DISENTANGLERS, self._disentangler)
        return made(random_state=key.random_state(), **settings).fit(rows)

    def adapter(self, **settings: Any) -> Any:
        self.asked["adapter"] = settings
        return loaded(ADAPTERS, self._adapter)(**settings)


@pytest.fixture
def make_bench() -> type[RecordingBench]:
    return RecordingBench


@pytest.fixture(scope="session")
def blocks() -> dict[str, Block]:
    return {"train": TRAIN, "val": VAL, "test": TEST}
