"""APE: Tip-Adapter on the features that separate the classes, its keys weighed by what zero-shot makes of them.

Nothing is trained. Refuses encoders that read no text, and to guess its settings without validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.cache import Cache
from lpcm.adapters.cache_search import (
    BETAS,
    Choice,
    Grid,
    Search,
    Ties,
    choose_point,
    edge,
    make_grid,
    parse_search,
    refuse_unusable,
    say_selection,
)
from lpcm.adapters.channels import best_features, criterion
from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.validation import validation_rows
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

SHARES = (0.25, 0.5, 0.75, 1.0)
GAMMAS = (0.0, 0.1, 0.2, 0.4, 0.8)
PUBLISHED_GAMMAS = tuple(i / 20 for i in range(20))
SMALL = 1e-6
"""Added to both sides of the divergence's ratio by the released code."""


class APE:
    """Zero-shot plus a cache of refined shots, each weighed by how far zero-shot is from its label.

        logits = 100 f T' + alpha exp(-beta (1 - r F')) (diag(exp(gamma D)) L)
        D_i    = sum_c L_ic log2((L_ic + 1e-6) / (softmax(F_i R')_c + 1e-6))

    with unit features f, class vectors T, and r, F, R the features, the shots and the class vectors on the kept
    features alone, made unit again there.

    Args:
        alpha: weight of the cache; ``None`` chooses it on validation.
        beta: sharpness; ``None`` chooses it on validation.
        gamma: 0 or more, how much a key that zero-shot misreads counts; ``None`` chooses it on validation.
        share: of the features that are kept, above 0 and at most 1; ``None`` chooses it on validation.
        weight: w of the similarity between classes, in [0, 1]; the rest is the variance of the prompts.
        search: ``"wide"`` or ``"published"``, what alpha, beta and gamma are chosen from.
        alpha_end, beta_end: ends of the published search.

    Source: Zhu et al. 2023, "Not all features matter: Enhancing few-shot CLIP with adaptive prior refinement"
    (ICCV), prior refinement and training-free APE; the constants are those of the released code.
    """

    published = Published(
        settings_on=LooksAt.SPLIT,
        settings={"search": Search.PUBLISHED.value},
        rule="alpha, beta and gamma are those of the best accuracy on the whole validation split, then the first",
        source="released code of Zhu et al. 2023",
    )

    def __init__(
        self,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
        share: float | None = None,
        weight: float = 0.7,
        search: str = Search.WIDE.value,
        alpha_end: float = 7.0,
        beta_end: float = 7.0,
    ) -> None:
        refuse_unusable(alpha=alpha, beta=beta, alpha_end=alpha_end, beta_end=beta_end)
        if gamma is not None and not (np.isfinite(gamma) and gamma >= 0):
            raise UsageError(f"gamma is {gamma}: expected 0 or more")
        refuse_wrong_shares(share, weight)
        found = parse_search(search)
        # Every second beta: gamma and the share of features multiply what is to be tried.
        self._grid = make_grid(found, alpha, beta, (beta_end, alpha_end), BETAS[::2])
        gammas = PUBLISHED_GAMMAS if found is Search.PUBLISHED else GAMMAS
        self._gammas = gammas if gamma is None else (gamma,)
        self._shares = SHARES if share is None else (share,)
        self.weight = weight
        self.selection = say_selection(self._grid)
        if self._searched:
            self.selection += f" x {len(self._gammas)} gamma, {len(self._shares)} shares of the features"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> APE:
        """Refine the (n, d) features and choose the settings; ``key`` is not used.

        Raises:
            UsageError: when ``text`` is missing, or ``val`` where something is to be chosen.
            DataError: when there are no rows, fewer than two classes, or the prompts do not fit the features.
        """
        self._vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter="ape")
        if classes < 2:
            raise DataError(f"ape was given {classes} class: expected 2 or more")
        shots = unit(features)
        scores = criterion(self._vectors, self.weight, (shots, labels))
        kept = {share: best_features(scores, share) for share in self._shares}
        caches = {share: Cache.of(unit(shots[:, at]), labels, classes) for share, at in kept.items()}
        divergences = {
            share: divergence(cache, labels[cache.order], unit(self._vectors[:, kept[share]]))
            for share, cache in caches.items()
        }
        share, found = self._shares[0], None
        if self._searched:
            rows, truth = validation_rows(
                val,
                adapter="ape",
                chosen="alpha, beta, gamma and the share of features",
                instead=" --set ".join(f"ape.{s}" for s in ("alpha=1", "beta=1", "gamma=0.1", "share=0.5")),
            )
            zero_shot, V = self._zero_shot(rows), unit(rows)
            choices = {
                s: choose_point(zero_shot, caches[s], V[:, kept[s]], truth, self._grid, self._weights(d))
                for s, d in divergences.items()
            }
            share, found = best_choice(choices, self._grid)
        self._kept, self._cache = kept[share], caches[share]
        gamma = self._gammas[0 if found is None else found.weighting]
        self._alpha = self._grid.alphas[0] if found is None else found.alpha
        self._beta = self._grid.betas[0] if found is None else found.beta
        self._key_weights = np.exp(gamma * divergences[share])
        self._facts: dict[str, Any] = {
            "alpha": self._alpha,
            "beta": self._beta,
            "gamma": gamma,
            "share": share,
            "features": len(self._kept),
        }
        if found is not None:
            self._facts |= {
                "alpha_at_edge": edge(self._alpha, self._grid.alphas).value,
                "beta_at_edge": edge(self._beta, self._grid.betas).value,
                "val_accuracy": found.standing.accuracy,
                "val_log_loss": found.standing.log_loss,
            }
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = self._zero_shot(features)
        refined = unit(features)[:, self._kept]
        logits += self._alpha * self._cache.votes(refined, self._beta, self._key_weights)
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell the settings, how many features were kept, and how validation chose."""
        return dict(self._facts)

    @property
    def _searched(self) -> bool:
        sizes = (self._grid.alphas, self._grid.betas, self._gammas, self._shares)
        return any(len(size) > 1 for size in sizes)

    def _weights(self, divergences: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
        return [np.exp(gamma * divergences) for gamma in self._gammas]

    def _zero_shot(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        return TEMPERATURE * (unit(features) @ self._vectors.T)


def divergence(cache: Cache, labels: NDArray[np.int64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """D, the divergence in bits of each key's label from its softmax over the prompts, (n,).

    The terms of the other classes are 0, since their L is. The softmax is of plain cosines, as in the released code,
    so it is nearly flat.

    Args:
        cache: n keys.
        labels: (n,) of the keys, in their order.
        vectors: (c, d) unit class vectors on the cache's features.
    """
    cosines = cache.keys @ vectors.T
    p = np.exp(cosines) / np.exp(cosines).sum(1, keepdims=True)
    found: NDArray[np.float64] = np.log2((1 + SMALL) / (p[np.arange(len(labels)), labels] + SMALL))
    return found


def best_choice(choices: Mapping[float, Choice], grid: Grid) -> tuple[float, Choice]:
    """The share of features whose choice stands best, by the grid's rule; ties go to the first."""

    def rank(share: float) -> Any:
        standing = choices[share].standing
        return standing.wrong if grid.ties is Ties.FIRST else standing

    share = min(choices, key=rank)
    return share, choices[share]


def refuse_wrong_shares(share: float | None, weight: float) -> None:
    """Raise ``UsageError`` when the share of features or the weight of the similarity is outside its range."""
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"share is {share}: expected a number above 0, at most 1")
    if not 0 <= weight <= 1:
        raise UsageError(f"weight is {weight}: expected a number from 0 to 1")
