"""Tip-Adapter-F: the keys of Tip-Adapter's cache are trained. Refuses to pick an epoch by test accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.cache import Cache
from lpcm.adapters.cache_search import (
    Search,
    choose_point,
    edge,
    make_grid,
    parse_search,
    refuse_unusable,
    say_selection,
)
from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.training import Epoch, Rows, Schedule, parse_keep, tell, tensor, train
from lpcm.adapters.validation import validation_rows
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts


class TipAdapterF:
    """Tip-Adapter whose keys start as the shots and are trained by cross-entropy on them.

        logits = 100 f T' + alpha exp(-beta (1 - f F')) L,   F trained, not made unit again

    Alpha and beta during training are those that training-free Tip-Adapter chooses on validation, or the given
    ones; after it they are chosen again for the trained keys.

    Args:
        alpha: weight of the cache; ``None`` chooses it on validation.
        beta: sharpness; ``None`` chooses it on validation.
        search: ``"wide"`` or ``"published"``, what they are chosen from.
        alpha_end, beta_end: ends of the published search.
        epochs, lr, batch: of AdamW, with a cosine schedule over all steps.
        keep: ``"validation"`` keeps the best epoch there, of which 0 is untrained; ``"last"`` the last one.

    Source: Zhang et al. 2022 (ECCV), section 3.2; epsilon, batch and epochs are those of the released code.
    """

    def __init__(
        self,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        search: str = Search.WIDE.value,
        alpha_end: float = 3.0,
        beta_end: float = 7.0,
        epochs: int = 20,
        lr: float = 1e-3,
        batch: int = 256,
        keep: str = Epoch.VALIDATION.value,
    ) -> None:
        refuse_unusable(alpha=alpha, beta=beta, alpha_end=alpha_end, beta_end=beta_end)
        self._grid = make_grid(parse_search(search), alpha, beta, (beta_end, alpha_end))
        self._schedule = Schedule(epochs=epochs, lr=lr, batch=batch, eps=1e-4, keep=parse_keep(keep))
        self.selection = f"epoch: {keep}; {say_selection(self._grid)}, before and after training"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> TipAdapterF:
        """Train the keys on (n, d) features; ``key`` draws the batches.

        Raises:
            UsageError: when ``text`` is missing, or ``val`` where something is to be chosen.
            DataError: when there are no rows, or the prompts do not fit the features.
        """
        self._vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter="tip-adapter-f")
        grid = self._grid
        searched = len(grid.alphas) > 1 or len(grid.betas) > 1
        held = None
        if val is not None or searched or self._schedule.keep is Epoch.VALIDATION:
            held = validation_rows(
                val,
                adapter="tip-adapter-f",
                chosen="alpha, beta and the epoch",
                instead=" --set ".join(f"tip-adapter-f.{s}" for s in ("alpha=1", "beta=1", "keep=last")),
            )
        start = Cache.of(unit(features), labels, classes)
        alpha, beta = grid.alphas[0], grid.betas[0]
        if held is not None and searched:
            found = choose_point(self._zero_shot(held[0]), start, *held, grid)
            alpha, beta = found.alpha, found.beta
        self._facts: dict[str, Any] = {"alpha_in_training": alpha, "beta_in_training": beta}
        self._cache = self._trained(start, labels[start.order], held, alpha, beta, key)
        if held is not None and searched:
            found = choose_point(self._zero_shot(held[0]), self._cache, *held, grid)
            alpha, beta = found.alpha, found.beta
            self._facts |= {
                "alpha_at_edge": edge(alpha, grid.alphas).value,
                "beta_at_edge": edge(beta, grid.betas).value,
                "val_accuracy": found.standing.accuracy,
                "val_log_loss": found.standing.log_loss,
            }
        self._alpha, self._beta = alpha, beta
        self._facts |= {"alpha": alpha, "beta": beta}
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = self._zero_shot(features)
        logits += self._alpha * self._cache.votes(features, self._beta)
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell the epoch that was kept, alpha and beta, and how validation chose."""
        return dict(self._facts)

    def _zero_shot(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        return TEMPERATURE * (unit(features) @ self._vectors.T)

    def _trained(
        self,
        start: Cache,
        labels: NDArray[np.int64],
        held: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
        alpha: float,
        beta: float,
        key: Key,
    ) -> Cache:
        keys = tensor(start.keys).requires_grad_()
        rows = Rows.of(start.keys, labels)
        values = torch.nn.functional.one_hot(rows.labels, start.classes).float()
        vectors = TEMPERATURE * tensor(self._vectors)

        def logits(f: torch.Tensor) -> torch.Tensor:
            votes = torch.exp(-beta * (1 - f @ keys.T)) @ values
            return f @ vectors.T + alpha * votes

        val = None if held is None else Rows.of(unit(held[0]), held[1])
        trained = train([keys], logits, rows, val, self._schedule, key)
        self._facts |= tell(trained, self._schedule)
        found = keys.detach().double().numpy()
        return Cache(found, start.present, start.starts, start.order, start.classes)
