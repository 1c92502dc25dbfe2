"""What trained cache models share: alpha and beta to train with, those chosen afterwards, and whether it helped.

Refuses to train where the softmax is saturated: by default alpha and beta are those of the lowest log-loss on
validation rows. The most accurate ones often give a training loss of 0, and then nothing is learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.cache import Cache
from lpcm.adapters.cache_search import (
    Choice,
    Grid,
    choose_calibrated,
    choose_point,
    edge,
    make_grid,
    parse_search,
    refuse_unusable,
    say_selection,
)
from lpcm.adapters.prompts import unit
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.trained import Held, Problem, TrainedAdapter
from lpcm.adapters.training import Schedule, Trained, tell
from lpcm.adapters.validation import Standing


@dataclass(frozen=True, eq=False)
class CacheModel:
    """Class vectors, keys and their weights, as they come or trained: 100 f V' + alpha exp(-beta (1 - f G')) (w L).

    Args:
        vectors: (c, d).
        cache: n keys.
        weights: (n,), in the order of the cache; ``None`` is 1.
    """

    vectors: NDArray[np.float64]
    cache: Cache
    weights: NDArray[np.float64] | None = None

    def logits(self, f: NDArray[np.float64], alpha: float, beta: float) -> NDArray[np.float64]:
        """Scores of each class for unit rows, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = self.zero_shot(f) + alpha * self.cache.votes(f, beta, self.weights)
        return logits

    def choose(self, held: Held, grid: Grid) -> Choice:
        """The point of the grid that stands best on validation rows."""
        return choose_point(
            self.zero_shot(held.rows), self.cache, held.rows, held.truth, grid, [self.weights]
        )

    def zero_shot(self, f: NDArray[np.float64]) -> NDArray[np.float64]:
        """The part of the logits that no key has a part in, (q, d) -> (q, c)."""
        return TEMPERATURE * (f @ self.vectors.T)

    def right(self, held: Held, alpha: float, beta: float) -> int:
        """How many rows are classified as their label says."""
        return int((self.logits(held.rows, alpha, beta).argmax(1) == held.truth).sum())


@dataclass(frozen=True, eq=False)
class Attempt:
    """A training that ended: what it made, how it went, what the row says of it, and the point chosen for it."""

    model: CacheModel
    trained: Trained
    facts: dict[str, Any]
    choice: Choice | None

    @property
    def rank(self) -> Standing:
        """What attempts are compared by, the least the best."""
        return self.trained.rank if self.choice is None else self.choice.standing


class TrainedCache(TrainedAdapter):
    """Base of cache models whose keys are trained; a subclass says which parameters in ``_attempts``.

    Args:
        alpha, beta: of the cache; ``None`` chooses them on validation, after training.
        search: ``"wide"`` or ``"published"``, what they are chosen from.
        ends: of beta and alpha in the published search.
        train_alpha, train_beta: while training; ``None`` takes what is fixed, or else the lowest log-loss.
        schedule: of the training.
    """

    chosen = "alpha, beta and the epoch"

    def __init__(
        self,
        alpha: float | None,
        beta: float | None,
        search: str,
        ends: tuple[float, float],
        train_alpha: float | None,
        train_beta: float | None,
        schedule: Schedule,
    ) -> None:
        refuse_unusable(
            alpha=alpha,
            beta=beta,
            beta_end=ends[0],
            alpha_end=ends[1],
            train_alpha=train_alpha,
            train_beta=train_beta,
        )
        self._grid = make_grid(parse_search(search), alpha, beta, ends)
        self._start = train_alpha, train_beta
        self._schedule = schedule
        self.selection = f"epoch: {schedule.keep.value}; {say_selection(self._grid)}, trained or not"

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        return self._model.logits(unit(features), self._alpha, self._beta)

    @property
    def _searched(self) -> bool:
        return len(self._grid.alphas) > 1 or len(self._grid.betas) > 1

    def _attempts(
        self, problem: Problem, start: Cache, alpha: float, beta: float
    ) -> Sequence[tuple[CacheModel, Trained, dict[str, Any]]]:
        """Train with alpha and beta from the untrained cache, once for each setting of the subclass's own."""
        raise NotImplementedError

    def _learn(self, problem: Problem) -> None:
        start = Cache.of(problem.rows, problem.labels, len(problem.vectors))
        untrained = CacheModel(problem.vectors, start)
        searches = problem.val is not None and self._searched
        alpha, beta = self._in_training(problem, untrained)
        tried = [
            Attempt(
                *attempt, attempt[0].choose(problem.val, self._grid) if searches and problem.val else None
            )
            for attempt in self._attempts(problem, start, alpha, beta)
        ]
        best = tried[0] if len(tried) == 1 else min(tried, key=lambda attempt: attempt.rank)
        self._model, self._alpha, self._beta = best.model, alpha, beta
        self._facts = {
            "alpha_in_training": alpha,
            "beta_in_training": beta,
            **best.facts,
            **tell(best.trained, self._schedule),
        }
        if best.choice is not None and problem.val is not None:
            self._settle(problem, best.choice, untrained)
        self._facts |= {"alpha": self._alpha, "beta": self._beta}

    def _in_training(self, problem: Problem, untrained: CacheModel) -> tuple[float, float]:
        alpha, beta = self._start
        if problem.val is not None and self._searched and (alpha is None or beta is None):
            held = problem.val
            found = choose_calibrated(
                untrained.zero_shot(held.rows), untrained.cache, held.rows, held.truth, self._grid
            )
            return found.alpha if alpha is None else alpha, found.beta if beta is None else beta
        return (
            self._grid.alphas[0] if alpha is None else alpha,
            self._grid.betas[0] if beta is None else beta,
        )

    def _settle(self, problem: Problem, found: Choice, untrained: CacheModel) -> None:
        """Take the point that was chosen after training; or the untrained cache, where that stands better."""
        assert problem.val is not None
        if problem.published:
            # The larger of two scores on the rows that chose the epoch, as such rules report.
            assert problem.judges is not None
            before = self._model.right(problem.judges, self._alpha, self._beta)
            after = self._model.right(problem.judges, found.alpha, found.beta)
            self._facts["reported"] = "after the search" if after > before else "as trained"
            if after <= before:
                return
        else:
            plain = untrained.choose(problem.val, self._grid)
            if plain.standing < found.standing:
                found, self._model, self._facts["epoch"] = plain, untrained, 0
        self._alpha, self._beta = found.alpha, found.beta
        self._facts |= {
            "alpha_at_edge": edge(found.alpha, self._grid.alphas).value,
            "beta_at_edge": edge(found.beta, self._grid.betas).value,
            "val_accuracy": found.standing.accuracy,
            "val_log_loss": found.standing.log_loss,
        }
