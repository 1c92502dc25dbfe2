"""Accuracy when a share of the training labels is wrong. Refuses to see a test label: the runner keeps them sealed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin import Adapter, Bench, Block, Disentangler, Score
from numpy.typing import NDArray


class WrongLabels:
    """Fits the cell's adapter on train and validation rows of which a share has a random label.

    Args:
        wrong: share of labels that are replaced, from 0 to 1.
        rows: training rows a class, at most.

    Raises:
        UsageError: when a setting is out of range.
    """

    def __init__(self, *, wrong: float = 0.2, rows: int = 16) -> None:
        if not 0 <= wrong <= 1 or rows < 2:
            raise UsageError(
                f"wrong is {wrong}, rows {rows}: expected wrong from 0 to 1 and rows of 2 or more"
            )
        self.wrong = wrong
        self.rows = rows

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """The whole product."""
        for encoder in axes["encoder"]:
            for dataset in axes["dataset"]:
                for disentangler in axes.get("disentangler") or ("none",):
                    for adapter in axes.get("adapter") or ("linear-probe",):
                        for seed in axes["seed"]:
                            yield {
                                "encoder": encoder,
                                "dataset": dataset,
                                "disentangler": disentangler,
                                "adapter": adapter,
                                "seed": seed,
                            }

    def fit(self, bench: Bench, axes: Mapping[str, Any]) -> FittedWrongLabels:
        """Fit one cell. Everything random comes from `bench.key`, folded with a name for each use."""
        classes = len(bench.classes)
        drawn = _draw(bench.block("train"), self.rows, bench.key.fold("rows"))
        # Every fourth row validates when the dataset has no validation split of its own.
        fourth = np.arange(len(drawn)) % 4 == 3
        if "val" in bench.splits():
            train, val = (
                drawn,
                _draw(bench.block("val"), self.rows, bench.key.fold("val rows")),
            )
        else:
            train, val = (
                drawn.take(np.flatnonzero(~fourth)),
                drawn.take(np.flatnonzero(fourth)),
            )
        disentangler = bench.disentangler(
            bench.block("train").features, bench.key.fold("disentangler")
        )
        labels = [
            _spoil(block.labels, classes, self.wrong, bench.key.fold(name))
            for block, name in ((train, "train"), (val, "val"))
        ]
        adapter = bench.adapter().fit(
            disentangler.transform(train.features),
            labels[0],
            classes=classes,
            key=bench.key.fold("adapter"),
            val=(disentangler.transform(val.features), labels[1]),
            text=None,
        )
        facts = {
            "wrong": self.wrong,
            "train_rows": len(train),
            "wrong_train_labels": int((labels[0] != train.labels).sum()),
            "disentangler": dict(disentangler.report()),
            "adapter": dict(adapter.report()),
        }
        warnings = [
            *facts["disentangler"].pop("warnings", ()),
            *facts["adapter"].pop("warnings", ()),
        ]
        return FittedWrongLabels(
            disentangler, adapter, facts, adapter.selection, warnings
        )

    def score(
        self, predictions: NDArray[np.int64], labels: NDArray[np.int64], classes: int
    ) -> Score:
        """Accuracy against the true labels, beside what chance gives."""
        right = (predictions == labels).astype(np.float64)
        return Score(
            metric="accuracy",
            value=float(right.mean()),
            outcomes=right,
            null={
                "chance": 1 / classes,
                "majority": float(np.bincount(labels).max() / len(labels)),
            },
        )


@dataclass(frozen=True, eq=False)
class FittedWrongLabels:
    """A fitted cell: it holds no bench, so that it cannot go on fitting."""

    disentangler: Disentangler
    adapter: Adapter
    facts: Mapping[str, Any]
    selection: str
    warnings: Sequence[str]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Predicted label of each row."""
        return self.adapter.logits(self.disentangler.transform(features)).argmax(axis=1)


def _draw(block: Block, rows: int, key: Key) -> Block:
    """At most `rows` rows of each class, in an order that mixes the classes."""
    order = key.generator().permutation(len(block))
    kept = [
        i
        for label in np.unique(block.labels)
        for i in order[block.labels[order] == label][:rows]
    ]
    return block.take(
        key.fold("mix").generator().permutation(np.array(kept, dtype=np.intp))
    )


def _spoil(
    labels: NDArray[np.int64], classes: int, wrong: float, key: Key
) -> NDArray[np.int64]:
    """Replace a share of the labels by a random one, which may be the right one by chance."""
    generator = key.generator()
    hit = generator.random(len(labels)) < wrong
    return np.where(hit, generator.integers(classes, size=len(labels)), labels)
