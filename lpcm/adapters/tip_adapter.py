"""Tip-Adapter: zero-shot and the votes of the cached shots. Nothing is trained.

Refuses encoders that read no text, and to guess alpha and beta without validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.cache import Cache
from lpcm.adapters.cache_search import (
    Search,
    Trial,
    choose_across,
    choose_point,
    edge,
    make_grid,
    parse_search,
    refuse_unusable,
    say_selection,
)
from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tuning import Fold, Tuned
from lpcm.adapters.validation import validation_rows
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

TEMPERATURE = 100.0
"""Of the cosine with the prompts, as CLIP was trained."""


class TipAdapter:
    """Zero-shot plus a cache of the shots.

        logits = 100 f T' + alpha exp(-beta (1 - f F')) L

    with unit features f, class vectors T (c, d), shots F (n, d) and their one-hot labels L (n, c). A class without
    shots keeps its first term.

    Args:
        alpha: weight of the cache; ``None`` chooses it on validation.
        beta: sharpness; ``None`` chooses it on validation.
        search: ``"wide"`` or ``"published"``, what they are chosen from.
        alpha_end, beta_end: ends of the published search.

    Source: Zhang et al. 2022, "Tip-Adapter: Training-free adaption of CLIP for few-shot classification" (ECCV),
    section 3.1; the published grid is that of the released code.

    Example:
        >>> X, y = np.eye(3, dtype=np.float32), np.arange(3)
        >>> prompts = TextPrompts(X, ("a", "b", "c"))
        >>> tip = TipAdapter(alpha=1.0, beta=1.0).fit(X, y, classes=3, key=Key.of(0), text=prompts)
        >>> tip.logits(X).argmax(1)
        array([0, 1, 2])
    """

    published = Published(
        settings_on=LooksAt.SPLIT,
        settings={"search": Search.PUBLISHED.value},
        rule="alpha and beta are those of the best accuracy on the whole validation split, then the first",
        source="released code of Zhang et al. 2022",
    )

    def __init__(
        self,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        search: str = Search.WIDE.value,
        alpha_end: float = 3.0,
        beta_end: float = 7.0,
    ) -> None:
        refuse_unusable(alpha=alpha, beta=beta, alpha_end=alpha_end, beta_end=beta_end)
        self._grid = make_grid(parse_search(search), alpha, beta, (beta_end, alpha_end))
        self.selection = say_selection(self._grid)

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> TipAdapter:
        """Keep the (n, d) features as keys and choose alpha and beta; ``key`` is not used.

        Raises:
            UsageError: when ``text`` is missing, or ``val`` where something is to be chosen.
            DataError: when there are no rows, or the prompts do not fit the features.
        """
        self._vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter="tip-adapter")
        self._cache = Cache.of(unit(features), labels, classes)
        grid = self._grid
        self._alpha, self._beta = grid.alphas[0], grid.betas[0]
        self._facts: dict[str, Any] = {}
        if len(grid.alphas) > 1 or len(grid.betas) > 1:
            rows, truth = validation_rows(
                val,
                adapter="tip-adapter",
                chosen="alpha and beta",
                instead="tip-adapter.alpha=1 --set tip-adapter.beta=1",
            )
            found = choose_point(self._zero_shot(rows), self._cache, rows, truth, grid)
            self._alpha, self._beta = found.alpha, found.beta
            self._facts = {
                "alpha_at_edge": edge(found.alpha, grid.alphas).value,
                "beta_at_edge": edge(found.beta, grid.betas).value,
                "val_accuracy": found.standing.accuracy,
                "val_log_loss": found.standing.log_loss,
            }
        self._facts |= {"alpha": self._alpha, "beta": self._beta}
        return self

    def tune(self, folds: Sequence[Fold], *, classes: int, key: Key) -> Tuned:
        """Choose alpha and beta on average over folds (``lpcm.adapters.tuning``); ``key`` is not used.

        Raises:
            UsageError: when a fold has no text, or no validation rows.
            DataError: when a fold has no rows, or its prompts do not fit its features.
        """
        trials = []
        for fold in folds:
            width = fold.features.shape[1]
            vectors = class_vectors(fold.text, classes=classes, width=width, adapter="tip-adapter")
            rows, truth = validation_rows(
                fold.val, adapter="tip-adapter", chosen="alpha and beta", instead=""
            )
            cache = Cache.of(unit(fold.features), fold.labels, classes)
            trials.append(Trial(TEMPERATURE * (unit(rows) @ vectors.T), cache, rows, truth))
        grid = self._grid
        alpha, beta, best = choose_across(trials, grid)
        edges = {
            "alpha_at_edge": edge(alpha, grid.alphas).value,
            "beta_at_edge": edge(beta, grid.betas).value,
        }
        return Tuned({"alpha": alpha, "beta": beta}, {**edges, **best.facts()})

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = self._zero_shot(features)
        logits += self._alpha * self._cache.votes(features, self._beta)
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell alpha and beta, whether they are at an edge of the grid, and how validation chose."""
        return dict(self._facts)

    def _zero_shot(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return TEMPERATURE * (unit(features) @ self._vectors.T)
