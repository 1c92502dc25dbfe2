"""TaskRes: a trained residual on the class vectors. Refuses encoders that read no text.

The class vectors themselves stay: what the shots teach is kept apart from what the encoder knew.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.prompts import unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.trained import Problem, TrainedAdapter, best_of, judging
from lpcm.adapters.training import Epoch, Optimiser, Rows, Schedule, Trained, parse_keep, tell, tensor, train
from lpcm.errors import UsageError

ALPHAS = (0.1, 0.5, 1.0)


class TaskResidual(TrainedAdapter):
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

    name = "taskres"
    chosen = "alpha and the epoch"
    instead = ("alpha=0.5", "keep=last")
    published = Published(
        settings_on=LooksAt.NOTHING,
        settings={"alpha": 0.5, "keep": Epoch.LAST.value},
        rule="alpha is 0.5 and the last epoch is kept",
        source="released code of Yu et al. 2023",
    )

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

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = TEMPERATURE * (unit(features) @ self._vectors.T)
        return logits

    @property
    def _searched(self) -> bool:
        return len(self._alphas) > 1

    def _learn(self, problem: Problem) -> None:
        shots = Rows.of(problem.rows, problem.labels)
        tried = [self._train(problem, alpha, shots) for alpha in self._alphas]
        place = best_of([trained for _, trained in tried])
        residual, trained = tried[place]
        self._vectors = unit(problem.vectors + self._alphas[place] * residual)
        self._facts = {"alpha": self._alphas[place], **tell(trained, self._schedule)}

    def _train(self, problem: Problem, alpha: float, shots: Rows) -> tuple[NDArray[np.float64], Trained]:
        base = tensor(problem.vectors)
        residual = torch.zeros_like(base, requires_grad=True)

        def logits(f: torch.Tensor) -> torch.Tensor:
            moved = torch.nn.functional.normalize(base + alpha * residual, dim=1)
            return TEMPERATURE * (f @ moved.T)

        trained = train([residual], logits, shots, judging(problem), self._schedule, problem.key)
        found: NDArray[np.float64] = residual.detach().double().numpy()
        return found, trained
