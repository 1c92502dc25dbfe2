"""TaskRes: a trained residual on the class vectors. Refuses encoders that read no text.

The class vectors themselves stay: what the shots teach is kept apart from what the encoder knew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.training import Epoch, Optimiser, Rows, Schedule, Trained, parse_keep, tell, tensor, train
from lpcm.adapters.validation import validation_rows
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

ALPHAS = (0.1, 0.5, 1.0)


class TaskResidual:
    """Zero-shot with class vectors that are moved by a trained residual.

        logits = 100 f V',   V_c = (T_c + alpha R_c) / |T_c + alpha R_c|

    with unit features f, unit class vectors T (c, d), and R (c, d), which starts at 0 and is trained by
    cross-entropy on the shots.

    Args:
        alpha: scale of the residual; ``None`` chooses it on validation.
        grid: the alpha to choose from; each is trained.
        epochs, lr, batch, weight_decay: of Adam, with a cosine schedule over all steps.
        keep: ``"validation"`` keeps the best epoch there, of which 0 is zero-shot; ``"last"`` the last one.

    Source: Yu et al. 2023, "Task residual for tuning vision-language models" (CVPR); rate, batch and
    epochs are those of the released configurations.

    Example:
        >>> X, y = np.eye(3, dtype=np.float32), np.arange(3)
        >>> prompts = TextPrompts(X, ("a", "b", "c"))
        >>> made = TaskResidual(alpha=0.5, epochs=1, keep="last")
        >>> made.fit(X, y, classes=3, key=Key.of(0), text=prompts).logits(X).argmax(1)
        array([0, 1, 2])
    """

    def __init__(
        self,
        *,
        alpha: float | None = None,
        grid: tuple[float, ...] = ALPHAS,
        epochs: int = 100,
        lr: float = 2e-3,
        batch: int = 256,
        weight_decay: float = 5e-4,
        keep: str = Epoch.VALIDATION.value,
    ) -> None:
        self._alphas = tuple(float(a) for a in grid) if alpha is None else (float(alpha),)
        if not self._alphas or not all(np.isfinite(a) and a > 0 for a in self._alphas):
            raise UsageError(
                f"alpha is to be one of {list(self._alphas)}: expected one or more numbers above 0"
            )
        self._schedule = Schedule(
            epochs=epochs,
            lr=lr,
            batch=batch,
            optimiser=Optimiser.ADAM,
            weight_decay=weight_decay,
            keep=parse_keep(keep),
        )
        chosen = (
            "validation accuracy, then log-loss" if len(self._alphas) > 1 else f"fixed at {self._alphas[0]:g}"
        )
        self.selection = f"epoch: {keep}; alpha: {chosen}"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> TaskResidual:
        """Train the residual on (n, d) features; ``key`` draws the batches.

        Raises:
            UsageError: when ``text`` is missing, or ``val`` where something is to be chosen.
            DataError: when there are no rows, or the prompts do not fit the features.
        """
        vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter="taskres")
        if not len(labels):
            raise DataError("taskres was given no labelled rows: expected one or more")
        held = None
        if val is not None or len(self._alphas) > 1 or self._schedule.keep is Epoch.VALIDATION:
            rows, truth = validation_rows(
                val,
                adapter="taskres",
                chosen="alpha and the epoch",
                instead="taskres.alpha=0.5 --set taskres.keep=last",
            )
            held = Rows.of(unit(rows), truth)
        shots = Rows.of(unit(features), labels)
        tried = [self._train(vectors, alpha, shots, held, key) for alpha in self._alphas]
        place = 0
        if len(tried) > 1:
            place = min(range(len(tried)), key=lambda i: tried[i][1].rank)
        residual, trained = tried[place]
        self._vectors = unit(vectors + self._alphas[place] * residual)
        self._facts: dict[str, Any] = {"alpha": self._alphas[place], **tell(trained, self._schedule)}
        return self

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = TEMPERATURE * (unit(features) @ self._vectors.T)
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell alpha, the epoch that was kept, and how validation chose."""
        return dict(self._facts)

    def _train(
        self, vectors: NDArray[np.float64], alpha: float, shots: Rows, held: Rows | None, key: Key
    ) -> tuple[NDArray[np.float64], Trained]:
        base = tensor(vectors)
        residual = torch.zeros_like(base, requires_grad=True)

        def logits(f: torch.Tensor) -> torch.Tensor:
            moved = torch.nn.functional.normalize(base + alpha * residual, dim=1)
            return TEMPERATURE * (f @ moved.T)

        trained = train([residual], logits, shots, held, self._schedule, key)
        found: NDArray[np.float64] = residual.detach().double().numpy()
        return found, trained
