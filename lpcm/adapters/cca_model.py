"""The logits of CCA: unmixed cache, and cross-attention between prompts and shots. Refuses to choose its weights.

With unit queries f (q, d), unit shots F (n, d), one-hot labels L (n, c), unit class vectors W (c, d), an unmixing
u that is affine (its mean subtracted), and mm the min-max of a row to [0, 1]:

    logits = 100 (f T' + gamma f F' softmax_n(F W') + eta softmax_c(f W') W W') + alpha exp(-beta (1 - A)) L
    A      = mm( u(f) (u(F) R)' )

where T = W and R = 1 unless they were trained, and softmax_n goes over the shots, softmax_c over the classes.

Source: "Causal disentanglement and cross-modal alignment for enhanced few-shot learning" (arXiv 2508.03102) and its
code, which leaves the mean in u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.prompts import unit
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key

TEMPERATURE = 100.0
Array = NDArray[np.float64]


class Unmix(str, Enum):
    """What is fitted on the shots before they are compared."""

    ICA = "ica"
    WHITEN = "whiten"  # the training-free logits are those of ICA: a rotation does not change A
    NONE = "none"  # the features as they come, for a study whose disentangler has already unmixed them


@dataclass(frozen=True, eq=False)
class Terms:
    """What the logits of some rows are made of, before they are weighed; each (q, c) but the last.

    Args:
        zero_shot: 100 f T'.
        from_shots: 100 f F' softmax_n(F W'), weighed by gamma.
        from_text: 100 softmax_c(f W') W W', weighed by eta.
        distances: (q, n) 1 - A, keys in order of their class.
    """

    zero_shot: Array
    from_shots: Array
    from_text: Array
    distances: Array


@dataclass(frozen=True, eq=False)
class Model:
    """Shots in order of their class, with all that does not depend on a query.

    Args:
        vectors: (c, d) W.
        classifier: (c, d) T.
        attended: (d, c) F' softmax_n(F W').
        unmix: unit features (q, d) -> u (q, k).
        keys: (n, k) u(F).
        turn: (k, k) R; ``None`` is the identity.
        present, starts: the classes that have shots, and the first shot of each.
        order: the row that each shot was.
    """

    vectors: Array
    classifier: Array
    attended: Array
    unmix: Callable[[Array], Array]
    keys: Array
    turn: Array | None
    present: NDArray[np.int64]
    starts: NDArray[np.intp]
    order: NDArray[np.intp]

    @classmethod
    def of(
        cls, F: Array, labels: NDArray[np.int64], vectors: Array, unmix: Callable[[Array], Array]
    ) -> Model:
        """Untrained, of (n, d) unit shots with (n,) labels. Raises ``DataError`` when there are none."""
        if not len(labels):
            raise DataError("cca was given no labelled rows: expected one or more")
        order = np.argsort(labels, kind="stable")
        F = F[order]
        present, starts = np.unique(labels[order], return_index=True)
        attended = F.T @ _softmax(F @ vectors.T, axis=0)
        return cls(vectors, vectors, attended, unmix, unmix(F), None, present, starts, order)

    def terms(self, features: NDArray[np.floating]) -> Terms:
        """The terms of (q, d) rows of any length."""
        f = unit(features)
        own = f @ self.vectors.T
        queries = self.unmix(f)
        if self.turn is not None:
            queries = queries @ self.turn.T
        return Terms(
            TEMPERATURE * (f @ self.classifier.T),
            TEMPERATURE * (f @ self.attended),
            TEMPERATURE * (_softmax(own, axis=1) @ self.vectors @ self.vectors.T),
            1 - min_max(queries @ self.keys.T),
        )

    def votes(self, distances: Array, beta: float) -> Array:
        """exp(-beta (1 - A)) L: (q, n) -> (q, c)."""
        votes = np.zeros((len(distances), len(self.vectors)))
        votes[:, self.present] = np.add.reduceat(np.exp(-beta * distances), self.starts, axis=1)
        return votes


def min_max(affinity: Array) -> Array:
    """Each row stretched to [0, 1]; a row without spread becomes 0."""
    low = affinity.min(1, keepdims=True)
    spread = affinity.max(1, keepdims=True) - low
    stretched: Array = (affinity - low) / np.where(spread > 0, spread, 1.0)
    return stretched


def fit_unmixing(
    how: Unmix, F: Array, k: int | None, key: Key
) -> tuple[Callable[[Array], Array], tuple[str, ...]]:
    """Fit the unmixing on (n, d) unit shots, labels unused; with it comes what it warns of.

    Args:
        how: which.
        F: the shots.
        k: components; ``None`` takes min(256, d, n // 5), and more than the shots hold are cut.
        key: of where ICA starts.
    """
    if how is Unmix.NONE:
        return (lambda rows: rows), ()
    from lpcm.disentanglers.ica import ICA
    from lpcm.disentanglers.whiten import Whiten

    kind = ICA if how is Unmix.ICA else Whiten
    fitted = kind(k=k, excess="cap", random_state=key.fold("unmix").random_state()).fit(F)
    mean, components = fitted.mean_, fitted.components_
    return (lambda rows: (rows - mean) @ components.T), tuple(fitted.report().get("warnings", ()))


def parse_unmix(how: str) -> Unmix:
    """The unmixing of this name. Raises ``UsageError`` for another."""
    if how not in tuple(member.value for member in Unmix):
        raise UsageError(f"unmix is {how!r}: expected 'ica', 'whiten' or 'none'")
    return Unmix(how)


def _softmax(scores: Array, *, axis: int) -> Array:
    p: Array = np.exp(scores - scores.max(axis, keepdims=True))
    p /= p.sum(axis, keepdims=True)
    return p
