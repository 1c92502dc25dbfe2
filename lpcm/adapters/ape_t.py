"""APE-T: residuals on the refined features of prompts and keys alike, and a weight on each key, trained.

Refuses encoders that read no text, and to pick an epoch by test accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.ape import SHARES, refuse_wrong_shares
from lpcm.adapters.cache import Cache
from lpcm.adapters.cache_search import (
    Choice,
    Grid,
    Search,
    choose_calibrated,
    choose_point,
    edge,
    make_grid,
    parse_search,
    refuse_unusable,
    say_selection,
)
from lpcm.adapters.channels import best_features, criterion
from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.training import Epoch, Rows, Schedule, Trained, parse_keep, tell, tensor, train
from lpcm.adapters.validation import Standing, validation_rows
from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts


class APETrained:
    """Tip-Adapter whose prompts and keys share a trained residual on the features that separate the classes.

        V_c    = T_c + R_c on the kept features, T_c elsewhere
        G_i    = F_i + R_y(i) on the kept features, F_i elsewhere
        logits = 100 f V' + alpha exp(-beta (1 - f G')) (diag(w) L)

    with unit features f, class vectors T (c, d), shots F (n, d) of labels y. R starts at 0 and w at 1; both are
    trained by cross-entropy on the shots. Neither V nor G is made unit again. Features are kept by the prompts
    alone (``lpcm.adapters.channels``).

    Args:
        alpha: weight of the cache; ``None`` chooses it on validation.
        beta: sharpness; ``None`` chooses it on validation.
        share: of the features that are kept, above 0 and at most 1; ``None`` chooses it on validation.
        weight: w of the similarity between classes in the criterion, in [0, 1]; the rest is the variance.
        search: ``"wide"`` or ``"published"``, what alpha and beta are chosen from.
        alpha_end, beta_end: ends of the published search.
        epochs, lr, batch, weight_decay: of AdamW, with a cosine schedule over all steps.
        keep: ``"validation"`` keeps the best epoch there, of which 0 is untrained; ``"last"`` the last one.

    Source: Zhu et al. 2023 (ICCV), training-required APE-T; the constants are those of the released code.
    """

    def __init__(
        self,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        share: float | None = None,
        weight: float = 0.2,
        search: str = Search.WIDE.value,
        alpha_end: float = 7.0,
        beta_end: float = 7.0,
        epochs: int = 30,
        lr: float = 1e-3,
        batch: int = 256,
        weight_decay: float = 0.1,
        keep: str = Epoch.VALIDATION.value,
    ) -> None:
        refuse_unusable(alpha=alpha, beta=beta, alpha_end=alpha_end, beta_end=beta_end)
        refuse_wrong_shares(share, weight)
        self._grid = make_grid(parse_search(search), alpha, beta, (beta_end, alpha_end))
        self._shares = SHARES if share is None else (share,)
        self.weight = weight
        self._schedule = Schedule(
            epochs=epochs, lr=lr, batch=batch, eps=1e-3, weight_decay=weight_decay, keep=parse_keep(keep)
        )
        self.selection = f"epoch: {keep}; {say_selection(self._grid)}, trained or not"
        if len(self._shares) > 1:
            self.selection += f"; {len(self._shares)} shares of the features"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> APETrained:
        """Train residuals and weights on (n, d) features; ``key`` draws the batches.

        Raises:
            UsageError: when ``text`` is missing, or ``val`` where something is to be chosen.
            DataError: when there are no rows, fewer than two classes, or the prompts do not fit the features.
        """
        vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter="ape-t")
        if classes < 2:
            raise DataError(f"ape-t was given {classes} class: expected 2 or more")
        held = None
        if val is not None or self._searched or self._schedule.keep is Epoch.VALIDATION:
            rows, truth = validation_rows(
                val,
                adapter="ape-t",
                chosen="alpha, beta, the share of features and the epoch",
                instead=" --set ".join(f"ape-t.{s}" for s in ("alpha=1", "beta=1", "share=0.5", "keep=last")),
            )
            held = unit(rows), truth
        cache = Cache.of(unit(features), labels, classes)
        alpha, beta = self._grid.alphas[0], self._grid.betas[0]
        untrained: Choice | None = None
        if held is not None and self._searched:
            zero_shot = TEMPERATURE * (held[0] @ vectors.T)
            calibrated = choose_calibrated(zero_shot, cache, *held, self._grid)
            untrained = choose_point(zero_shot, cache, *held, self._grid)
            alpha, beta = calibrated.alpha, calibrated.beta
        scores = criterion(vectors, self.weight)
        tried = []
        for share in self._shares:
            kept = best_features(scores, share)
            model, trained = self._train(vectors, cache, labels[cache.order], kept, held, alpha, beta, key)
            chosen = None if held is None or untrained is None else model.choose(held, self._grid)
            tried.append((share, kept, model, trained, chosen))
        place = 0
        if len(tried) > 1:
            place = min(range(len(tried)), key=lambda i: _rank(tried[i][4], tried[i][3]))
        share, kept, self._model, trained, found = tried[place]
        self._facts: dict[str, Any] = {
            "alpha_in_training": alpha,
            "beta_in_training": beta,
            "share": share,
            "features": len(kept),
            **tell(trained, self._schedule),
        }
        if found is not None and untrained is not None:
            if untrained.standing < found.standing:
                found = untrained
                self._model = Refined(vectors, cache, np.ones(len(labels)))
                self._facts["epoch"] = 0
            alpha, beta = found.alpha, found.beta
            self._facts |= {
                "alpha_at_edge": edge(alpha, self._grid.alphas).value,
                "beta_at_edge": edge(beta, self._grid.betas).value,
                "val_accuracy": found.standing.accuracy,
                "val_log_loss": found.standing.log_loss,
            }
        self._alpha, self._beta = alpha, beta
        self._facts |= {"alpha": alpha, "beta": beta}
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        return self._model.logits(unit(features), self._alpha, self._beta)

    def report(self) -> Mapping[str, Any]:
        """Tell the settings, the epoch that was kept, and how validation chose."""
        return dict(self._facts)

    @property
    def _searched(self) -> bool:
        return any(len(size) > 1 for size in (self._grid.alphas, self._grid.betas, self._shares))

    def _train(
        self,
        vectors: NDArray[np.float64],
        cache: Cache,
        labels: NDArray[np.int64],
        kept: NDArray[np.intp],
        held: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
        alpha: float,
        beta: float,
        key: Key,
    ) -> tuple[Refined, Trained]:
        rows, T = Rows.of(cache.keys, labels), tensor(vectors)
        places = torch.from_numpy(kept)
        residual = torch.zeros(len(T), len(kept), requires_grad=True)
        weights = torch.ones(len(labels), requires_grad=True)
        values = torch.nn.functional.one_hot(rows.labels, len(T)).float()

        def moved() -> tuple[torch.Tensor, torch.Tensor]:
            return T.index_add(1, places, residual), rows.features.index_add(1, places, residual[rows.labels])

        def logits(f: torch.Tensor) -> torch.Tensor:
            V, G = moved()
            votes = torch.exp(-beta * (1 - f @ G.T)) @ (weights[:, None] * values)
            return TEMPERATURE * (f @ V.T) + alpha * votes

        val = None if held is None else Rows.of(*held)
        trained = train([residual, weights], logits, rows, val, self._schedule, key)
        with torch.no_grad():
            V, G = moved()
        found = replace(cache, keys=G.double().numpy())
        return Refined(V.double().numpy(), found, weights.detach().double().numpy()), trained


class Refined:
    """Class vectors, keys and the keys' weights, as trained.

    Args:
        vectors: (c, d).
        cache: n keys.
        weights: (n,), in the order of the cache.
    """

    def __init__(self, vectors: NDArray[np.float64], cache: Cache, weights: NDArray[np.float64]) -> None:
        self._vectors, self._cache, self._weights = vectors, cache, weights

    def logits(self, f: NDArray[np.float64], alpha: float, beta: float) -> NDArray[np.float64]:
        """Scores of each class for unit rows, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = self._zero_shot(f) + alpha * self._cache.votes(f, beta, self._weights)
        return logits

    def choose(self, held: tuple[NDArray[np.float64], NDArray[np.int64]], grid: Grid) -> Choice:
        """The point of the grid that stands best on validation rows."""
        return choose_point(self._zero_shot(held[0]), self._cache, *held, grid, [self._weights])

    def _zero_shot(self, f: NDArray[np.float64]) -> NDArray[np.float64]:
        return TEMPERATURE * (f @ self._vectors.T)


def _rank(chosen: Choice | None, trained: Trained) -> Standing:
    """What the shares of features are compared by, the least the best."""
    return trained.rank if chosen is None else chosen.standing
