"""CLIP-Adapter: a small network on the image features, blended with them. Refuses encoders that read no text."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.prompts import unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.trained import Problem, TrainedAdapter, best_of, judging
from lpcm.adapters.training import Epoch, Rows, Schedule, Trained, parse_keep, tell, tensor, train
from lpcm.errors import UsageError
from lpcm.keys import Key

RATIOS = (0.2, 0.4, 0.6, 0.8)


class CLIPAdapter(TrainedAdapter):
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

    name = "clip-adapter"
    chosen = "the ratio and the epoch"
    instead = ("ratio=0.2", "keep=last")
    published = Published(
        settings_on=LooksAt.NOTHING,
        settings={"ratio": 0.2, "keep": Epoch.LAST.value},
        rule="the ratio is 0.2 and the last epoch is kept",
        source="released code of Gao et al. 2024",
    )

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

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        f = unit(features)
        made = np.maximum(np.maximum(f @ self._inward, 0) @ self._outward, 0)
        blended = unit(self._ratio * made + (1 - self._ratio) * f)
        logits: NDArray[np.float64] = TEMPERATURE * (blended @ self._vectors.T)
        return logits

    @property
    def _searched(self) -> bool:
        return len(self._ratios) > 1

    def _learn(self, problem: Problem) -> None:
        shots = Rows.of(problem.rows, problem.labels)
        tried = [self._train(problem, ratio, shots) for ratio in self._ratios]
        place = best_of([trained for _, trained in tried])
        (self._inward, self._outward), trained = tried[place]
        self._vectors, self._ratio = problem.vectors, self._ratios[place]
        self._facts = {
            "ratio": self._ratio,
            "hidden": self._inward.shape[1],
            **tell(trained, self._schedule),
        }

    def _train(
        self, problem: Problem, ratio: float, shots: Rows
    ) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], Trained]:
        inward, outward = start(shots.features.shape[1], self.reduction, problem.key)
        vectors = TEMPERATURE * tensor(problem.vectors)

        def logits(f: torch.Tensor) -> torch.Tensor:
            made = torch.relu(torch.relu(f @ inward) @ outward)
            blended = torch.nn.functional.normalize(ratio * made + (1 - ratio) * f, dim=1)
            return blended @ vectors.T

        trained = train([inward, outward], logits, shots, judging(problem), self._schedule, problem.key)
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
