"""What adapters that learn by gradient steps share: rows that are checked, and rows to choose on. Trains nothing.

Refuses encoders that read no text, and to choose without validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.training import Epoch, Rows, Schedule, Trained
from lpcm.adapters.validation import validation_rows
from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Held:
    """Rows to choose on: (q, d) float64 of unit norm, and (q,) labels."""

    rows: NDArray[np.float64]
    truth: NDArray[np.int64]

    @classmethod
    def of(cls, labelled: Labelled) -> Held:
        """Make the rows unit."""
        return cls(unit(labelled[0]), labelled[1])


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be learnt from, checked.

    Args:
        rows: (n, d) float64 shots of unit norm.
        labels: (n,) int64 in [0, c).
        vectors: (c, d) float64 unit class vectors.
        text: the prompts that these are of.
        val: to choose settings on; ``None`` where nothing is chosen.
        judges: to choose the epoch on: ``val``, or the rows that a published rule looks at instead.
        key: of all that is drawn.
    """

    rows: NDArray[np.float64]
    labels: NDArray[np.int64]
    vectors: NDArray[np.float64]
    text: TextPrompts
    val: Held | None
    judges: Held | None
    key: Key

    @property
    def published(self) -> bool:
        """Whether the epoch is chosen on other rows than the settings."""
        return self.judges is not self.val


class TrainedAdapter:
    """Base of adapters that are trained on the shots; a subclass says how in ``_learn``.

    Attributes:
        name: as its record has it.
        chosen: what it chooses on validation, for the error.
        instead: settings that make the choice unnecessary.
        selection: how settings are chosen, as the row says it.
    """

    name: ClassVar[str]
    chosen: ClassVar[str]
    instead: ClassVar[tuple[str, ...]]
    selection: str
    _schedule: Schedule
    _facts: dict[str, Any]

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: Labelled | None = None,
        text: TextPrompts | None = None,
        oracle: Labelled | None = None,
    ) -> Self:
        """Train on (n, d) features and (n,) labels in [0, c); all that is drawn comes from ``key``.

        ``oracle`` holds rows to choose the epoch on instead of ``val``, where a published rule does so.

        Raises:
            UsageError: when ``text`` is missing, or ``val`` where something is to be chosen.
            DataError: when there are no rows, or the prompts do not fit the features.
        """
        vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter=self.name)
        assert text is not None  # class_vectors refuses that
        if not len(labels):
            raise DataError(f"{self.name} was given no labelled rows: expected one or more")
        held = None
        if val is not None or self._searched or self._schedule.keep is Epoch.VALIDATION:
            instead = " --set ".join(f"{self.name}.{setting}" for setting in self.instead)
            held = Held.of(validation_rows(val, adapter=self.name, chosen=self.chosen, instead=instead))
        judges = held if oracle is None else Held.of(oracle)
        self._facts = {}
        self._learn(Problem(unit(features), labels, vectors, text, held, judges, key))
        return self

    def report(self) -> Mapping[str, Any]:
        """Tell the settings, the epoch that was kept, and how validation chose."""
        return dict(self._facts)

    @property
    def _searched(self) -> bool:
        """Whether a setting is to be chosen."""
        raise NotImplementedError

    def _learn(self, problem: Problem) -> None:
        raise NotImplementedError


def judging(problem: Problem) -> Rows | None:
    """The rows that the epoch is chosen on, as the training loop wants them."""
    return None if problem.judges is None else Rows.of(problem.judges.rows, problem.judges.truth)


def best_of(trainings: Sequence[Trained]) -> int:
    """Place of the training that stands best where its epoch was chosen; ties go to the first."""
    if len(trainings) == 1:
        return 0
    return min(range(len(trainings)), key=lambda place: trainings[place].rank)
