"""What is known of samples besides their pixels, and which of it a task may be scored on.

Labels, factors and captions as arrays, and the partition that says which samples are the test side.
Nothing here imports numpy; the contracts that use these types are in ``lpcm.plugin.contracts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Truth(str, Enum):
    """What the seal hands to ``Task.score`` once fitting is closed."""

    LABELS = "labels"  # (n,) int64
    OWNERS = "owners"  # (m,) int64: for each test caption the row of the image that it describes
    FACTORS = "factors"  # Factors of the n test samples
    NOTHING = "nothing"  # None: the task judges the fit itself


class FactorKind(str, Enum):
    """What arithmetic makes sense on a factor's values."""

    CATEGORICAL = "categorical"  # whole numbers from 0, without order
    CONTINUOUS = "continuous"  # real numbers
    ANGLE = "angle"  # radians; 0 and 2 pi are the same


@dataclass(frozen=True, eq=False)
class Factors:
    """Known generative factors or attributes of n samples.

    Args:
        names: f names.
        kinds: f kinds.
        values: (n, f) float64, finite.
    """

    names: tuple[str, ...]
    kinds: tuple[FactorKind, ...]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.integer]) -> Factors:
        """The factors of these samples, in this order."""
        return Factors(self.names, self.kinds, self.values[rows])


@dataclass(frozen=True, eq=False)
class Captions:
    """Texts that describe images, with whose they are.

    Args:
        texts: m texts.
        features: (m, d) float32.
        owners: (m,) int64, rows of the images.
    """

    texts: tuple[str, ...]
    features: NDArray[np.float32]
    owners: NDArray[np.int64]


@dataclass(frozen=True)
class Roster:
    """All samples of a dataset without their labels, for a task that says itself which are its test side.

    Args:
        ids, domains, splits: of the n samples of all splits, aligned.
    """

    ids: tuple[str, ...]
    domains: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Partition:
    """Which samples of a roster are fitted on, selected on and tested on; the three must not overlap.

    Args:
        train, val, test: int64 places in the roster, in the order in which rows are wanted; ``val`` may be empty.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """What a task says of its predictions once the seal is open.

    Args:
        metric: name of the metric.
        value: the score.
        outcomes: (q,) contributions whose mean is ``value`` (1 right, 0 wrong for accuracy), one a test sample
            or query; ``None`` for a metric that is no mean.
        draws: (b,) values of the metric on bootstrap resamples of the test side, for a metric that is no mean.
            Methods are compared draw by draw, so the resamples depend on the dataset alone, not on encoder,
            disentangler or seed.
        null: what chance gives, for example ``{"chance": 0.1, "majority": 0.2}``.
        ceiling: the best that could be had on this very problem, where that is known and is not the range's end.
        details: further JSON values for the row, for example the accuracy of each class. What a publication reports
            for such a row is its ``paper``, a mapping of ``low``, ``high`` (in the unit of ``value``) and ``said``
            (in words); tables say where the measured mean lies beside it.
        unit: of ``value`` and of all that is compared with it, for example ``"nats"``; ``None`` for a share of 1,
            which tables print in percent.
    """

    metric: str
    value: float
    outcomes: NDArray[np.float64] | None = None
    draws: NDArray[np.float64] | None = None
    null: Mapping[str, float] = field(default_factory=dict)
    ceiling: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    unit: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Finding:
    """What a simulation found; see ``lpcm.plugin.contracts.Simulation``.

    Args:
        score: its score; outcomes are per latent, draw or sample, as the task says.
        n: what it was measured on: fresh samples, say.
        facts: what the row says of the simulation, as JSON values.
        selection: how settings were chosen.
        warnings: what the reader of the row should know.
        exhibits: file names to contents, such as a plot.
    """

    score: Score
    n: int
    facts: Mapping[str, Any]
    selection: str
    warnings: tuple[str, ...] = ()
    exhibits: Mapping[str, bytes] = field(default_factory=dict)
