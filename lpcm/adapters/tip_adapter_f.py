"""Tip-Adapter-F: the keys of Tip-Adapter's cache are trained. Refuses to pick an epoch by test accuracy.

Its published protocol does so; the few-shot task repeats that as ``--protocol published`` and marks the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from lpcm.adapters.cache import Cache
from lpcm.adapters.cache_search import Search
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.trained import Problem, judging
from lpcm.adapters.trained_cache import CacheModel, TrainedCache
from lpcm.adapters.training import Epoch, Rows, Schedule, Trained, parse_keep, tensor, train


class TipAdapterF(TrainedCache):
    """Tip-Adapter whose keys start as the shots and are trained by cross-entropy on them.

        logits = 100 f T' + alpha exp(-beta (1 - f F')) L,   F trained, not made unit again

    Alpha and beta during training are those of the lowest validation log-loss, or the given ones: the most accurate
    ones often saturate the softmax, and then nothing is learnt. After training they are chosen for the trained keys
    as Tip-Adapter does, and the trained keys are kept where they stand better than the untrained.

    Args:
        alpha: weight of the cache; ``None`` chooses it on validation.
        beta: sharpness; ``None`` chooses it on validation.
        search: ``"wide"`` or ``"published"``, what they are chosen from.
        alpha_end, beta_end: ends of the published search.
        train_alpha, train_beta: while training; ``None`` takes what is fixed, or else the lowest log-loss.
        epochs, lr, batch: of AdamW, with a cosine schedule over all steps.
        keep: ``"validation"`` keeps the best epoch there, of which 0 is untrained; ``"last"`` the last one.

    Source: Zhang et al. 2022 (ECCV), section 3.2; epsilon, batch and epochs are those of the released code.
    """

    name = "tip-adapter-f"
    instead = ("alpha=1", "beta=1", "keep=last")
    published = Published(
        settings_on=LooksAt.SPLIT,
        epoch_on=LooksAt.TEST,
        settings={"search": Search.PUBLISHED.value, "train_alpha": 1.17, "train_beta": 1.0},
        rule="the epoch is that of the best test accuracy, alpha and beta are then searched on the whole validation"
        " split, and the larger of the two test accuracies is reported",
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
        train_alpha: float | None = None,
        train_beta: float | None = None,
        epochs: int = 20,
        lr: float = 1e-3,
        batch: int = 256,
        keep: str = Epoch.VALIDATION.value,
    ) -> None:
        schedule = Schedule(epochs=epochs, lr=lr, batch=batch, eps=1e-4, keep=parse_keep(keep))
        super().__init__(alpha, beta, search, (beta_end, alpha_end), train_alpha, train_beta, schedule)

    def _attempts(
        self, problem: Problem, start: Cache, alpha: float, beta: float
    ) -> Sequence[tuple[CacheModel, Trained, dict[str, Any]]]:
        keys = tensor(start.keys).requires_grad_()
        rows = Rows.of(start.keys, problem.labels[start.order])
        values = torch.nn.functional.one_hot(rows.labels, start.classes).float()
        vectors = TEMPERATURE * tensor(problem.vectors)

        def logits(f: torch.Tensor) -> torch.Tensor:
            votes = torch.exp(-beta * (1 - f @ keys.T)) @ values
            return f @ vectors.T + alpha * votes

        trained = train([keys], logits, rows, judging(problem), self._schedule, problem.key)
        found = replace(start, keys=keys.detach().double().numpy())
        return [(CacheModel(problem.vectors, found), trained, {})]
