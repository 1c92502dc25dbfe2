"""CLIP-Adapter: a small network on the image features, blended with them. Refuses encoders that read no text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.training import Epoch, Rows, Schedule, Trained, parse_keep, tell, tensor, train
from lpcm.adapters.validation import validation_rows
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

RATIOS = (0.2, 0.4, 0.6, 0.8)


class CLIPAdapter:
    """Zero-shot on features that are blended with what two layers make of them.

        g      = ratio relu(relu(f A) B) + (1 - ratio) f
        logits = 100 (g / |g|) T'

    with unit features f (q, d), A (d, h) and B (h, d) trained by cross-entropy on the shots, h = d / reduction, and
    unit class vectors T (c, d).

    Args:
        ratio: of the blend, in (0, 1); ``None`` chooses it on validation.
        grid: the ratio to choose from; each is trained.
        reduction: d / h, rounded down; h is 1 at least.
        epochs, lr, batch, weight_decay: of AdamW, with a cosine schedule over all steps.
        keep: ``"validation"`` keeps the best epoch there, of which 0 is untrained; ``"last"`` the last one.

    Source: Gao et al. 2024, "CLIP-Adapter: Better vision-language models with feature adapters" (IJCV), the visual
    adapter; the reduction, the layers without bias and the text side without a network are the released code's.
    """

    def __init__(
        self,
        *,
        ratio: float | None = None,
        grid: tuple[float, ...] = RATIOS,
        reduction: int = 4,
        epochs: int = 100,
        lr: float = 1e-3,
        batch: int = 256,
        weight_decay: float = 0.01,
        keep: str = Epoch.VALIDATION.value,
    ) -> None:
        self._ratios = tuple(float(r) for r in grid) if ratio is None else (float(ratio),)
        if not self._ratios or not all(0 < r < 1 for r in self._ratios):
            raise UsageError(f"ratio is to be one of {list(self._ratios)}: expected numbers between 0 and 1")
        if isinstance(reduction, bool) or not isinstance(reduction, int) or reduction < 1:
            raise UsageError(f"reduction is {reduction!r}: expected a whole number of 1 or more")
        self.reduction = reduction
        self._schedule = Schedule(
            epochs=epochs, lr=lr, batch=batch, weight_decay=weight_decay, keep=parse_keep(keep)
        )
        chosen = (
            "validation accuracy, then log-loss" if len(self._ratios) > 1 else f"fixed at {self._ratios[0]:g}"
        )
        self.selection = f"epoch: {keep}; ratio: {chosen}"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> CLIPAdapter:
        """Train the layers on (n, d) features; ``key`` draws their start and the batches.

        Raises:
            UsageError: when ``text`` is missing, or ``val`` where something is to be chosen.
            DataError: when there are no rows, or the prompts do not fit the features.
        """
        self._vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter="clip-adapter")
        if not len(labels):
            raise DataError("clip-adapter was given no labelled rows: expected one or more")
        held = None
        if val is not None or len(self._ratios) > 1 or self._schedule.keep is Epoch.VALIDATION:
            rows, truth = validation_rows(
                val,
                adapter="clip-adapter",
                chosen="the ratio and the epoch",
                instead="clip-adapter.ratio=0.2 --set clip-adapter.keep=last",
            )
            held = Rows.of(unit(rows), truth)
        shots = Rows.of(unit(features), labels)
        tried = [self._train(ratio, shots, held, key) for ratio in self._ratios]
        place = 0
        if len(tried) > 1:
            place = min(range(len(tried)), key=lambda i: tried[i][1].rank)
        (self._inward, self._outward), trained = tried[place]
        self._ratio = self._ratios[place]
        self._facts: dict[str, Any] = {
            "ratio": self._ratio,
            "hidden": self._inward.shape[1],
            **tell(trained, self._schedule),
        }
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        f = unit(features)
        made = np.maximum(np.maximum(f @ self._inward, 0) @ self._outward, 0)
        blended = unit(self._ratio * made + (1 - self._ratio) * f)
        logits: NDArray[np.float64] = TEMPERATURE * (blended @ self._vectors.T)
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell the ratio, the hidden width, the epoch that was kept, and how validation chose."""
        return dict(self._facts)

    def _train(
        self, ratio: float, shots: Rows, held: Rows | None, key: Key
    ) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], Trained]:
        inward, outward = start(shots.features.shape[1], self.reduction, key)
        vectors = TEMPERATURE * tensor(self._vectors)

        def logits(f: torch.Tensor) -> torch.Tensor:
            made = torch.relu(torch.relu(f @ inward) @ outward)
            blended = torch.nn.functional.normalize(ratio * made + (1 - ratio) * f, dim=1)
            return blended @ vectors.T

        trained = train([inward, outward], logits, shots, held, self._schedule, key)
        layers = inward.detach().double().numpy(), outward.detach().double().numpy()
        return layers, trained


def start(d: int, reduction: int, key: Key) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the layers (d, h) and (h, d): uniform within 1 / sqrt(inputs), as torch's Linear starts.

    Args:
        d: width of the features.
        reduction: d / h.
        key: of the draw; the ratio has no part in it, so that all ratios start alike.
    """
    generator = key.fold("layers").torch_generator()
    hidden = max(d // reduction, 1)
    layers = []
    for rows, columns in ((d, hidden), (hidden, d)):
        bound = 1 / math.sqrt(rows)
        drawn = (2 * torch.rand(rows, columns, generator=generator) - 1) * bound
        layers.append(drawn.requires_grad_())
    return layers[0], layers[1]
