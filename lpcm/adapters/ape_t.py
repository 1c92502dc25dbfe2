"""APE-T: residuals on the refined features of prompts and keys alike, and a weight on each key, trained.

Refuses encoders that read no text, and to pick an epoch by test accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.ape import SHARES, refuse_wrong_shares
from lpcm.adapters.cache import Cache
from lpcm.adapters.cache_search import Search
from lpcm.adapters.channels import best_features, criterion
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.trained import Problem, judging
from lpcm.adapters.trained_cache import CacheModel, TrainedCache
from lpcm.adapters.training import Epoch, Rows, Schedule, Trained, parse_keep, tensor, train
from lpcm.errors import DataError


class APETrained(TrainedCache):
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
        train_alpha, train_beta: while training; ``None`` takes what is fixed, or else the lowest log-loss.
        epochs, lr, batch, weight_decay: of AdamW, with a cosine schedule over all steps.
        keep: ``"validation"`` keeps the best epoch there, of which 0 is untrained; ``"last"`` the last one.

    Source: Zhu et al. 2023 (ICCV), training-required APE-T; the constants are those of the released code.
    """

    name = "ape-t"
    chosen = "alpha, beta, the share of features and the epoch"
    instead = ("alpha=1", "beta=1", "share=0.5", "keep=last")
    published = Published(
        settings_on=LooksAt.SPLIT,
        settings={"search": Search.PUBLISHED.value, "train_alpha": 1.0, "train_beta": 1.0},
        rule="the epoch, then alpha and beta, are those of the best accuracy on the whole validation split",
        source="released code of Zhu et al. 2023",
    )

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
        train_alpha: float | None = None,
        train_beta: float | None = None,
        epochs: int = 30,
        lr: float = 1e-3,
        batch: int = 256,
        weight_decay: float = 0.1,
        keep: str = Epoch.VALIDATION.value,
    ) -> None:
        refuse_wrong_shares(share, weight)
        schedule = Schedule(
            epochs=epochs, lr=lr, batch=batch, eps=1e-3, weight_decay=weight_decay, keep=parse_keep(keep)
        )
        super().__init__(alpha, beta, search, (beta_end, alpha_end), train_alpha, train_beta, schedule)
        self._shares = SHARES if share is None else (share,)
        self.weight = weight
        if len(self._shares) > 1:
            self.selection += f"; {len(self._shares)} shares of the features"

    @property
    def _searched(self) -> bool:
        return super()._searched or len(self._shares) > 1

    def _learn(self, problem: Problem) -> None:
        if len(problem.vectors) < 2:
            raise DataError(f"ape-t was given {len(problem.vectors)} class: expected 2 or more")
        super()._learn(problem)

    def _attempts(
        self, problem: Problem, start: Cache, alpha: float, beta: float
    ) -> Sequence[tuple[CacheModel, Trained, dict[str, Any]]]:
        scores = criterion(problem.vectors, self.weight)
        made = []
        for share in self._shares:
            kept = best_features(scores, share)
            model, trained = self._train(problem, start, kept, alpha, beta)
            made.append((model, trained, {"share": share, "features": len(kept)}))
        return made

    def _train(
        self, problem: Problem, cache: Cache, kept: NDArray[np.intp], alpha: float, beta: float
    ) -> tuple[CacheModel, Trained]:
        rows, T = Rows.of(cache.keys, problem.labels[cache.order]), tensor(problem.vectors)
        places = torch.from_numpy(kept)
        residual = torch.zeros(len(T), len(kept), requires_grad=True)
        weights = torch.ones(len(rows.labels), requires_grad=True)
        values = torch.nn.functional.one_hot(rows.labels, len(T)).float()

        def moved() -> tuple[torch.Tensor, torch.Tensor]:
            return T.index_add(1, places, residual), rows.features.index_add(1, places, residual[rows.labels])

        def logits(f: torch.Tensor) -> torch.Tensor:
            V, G = moved()
            votes = torch.exp(-beta * (1 - f @ G.T)) @ (weights[:, None] * values)
            return TEMPERATURE * (f @ V.T) + alpha * votes

        trained = train([residual, weights], logits, rows, judging(problem), self._schedule, problem.key)
        with torch.no_grad():
            V, G = moved()
        found = replace(cache, keys=G.double().numpy())
        return CacheModel(V.double().numpy(), found, weights.detach().double().numpy()), trained
