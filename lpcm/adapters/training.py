"""The training loop of adapters that learn on cached features. Refuses to pick an epoch by anything but validation.

Deterministic for a key: batches are drawn from it, and no global generator is touched. The optimiser and the
cosine schedule over all steps are those of the released code of Tip-Adapter-F, TaskRes and APE-T; SGD and the
warm-up are CoOp's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.validation import Standing, standing
from lpcm.errors import UsageError
from lpcm.keys import Key

MOMENTUM = 0.9
"""Of SGD."""


class Optimiser(str, Enum):
    """Who takes the steps."""

    ADAM = "adam"
    ADAMW = "adamw"
    SGD = "sgd"


class Epoch(str, Enum):
    """Which epoch's parameters are kept."""

    VALIDATION = (
        "validation"  # the best on validation: accuracy, then log-loss, then the first; 0 is untrained
    )
    LAST = "last"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How to train.

    Args:
        epochs: passes over the rows, 1 or more.
        lr: learning rate at the start; it falls to 0 along a half cosine over all steps.
        batch: rows a step; all at once where there are no more.
        optimiser: Adam (its penalty added to the gradient), AdamW (apart from it), or SGD with momentum.
        eps: of Adam and AdamW, in units of the gradient.
        weight_decay: of the optimiser.
        keep: which epoch.
        warm_up: epochs at the rate ``warm_lr`` before the half cosine begins; fewer than ``epochs``.
        warm_lr: learning rate of the warm-up, above 0.
    """

    epochs: int
    lr: float
    batch: int = 256
    optimiser: Optimiser = Optimiser.ADAMW
    eps: float = 1e-8
    weight_decay: float = 0.01
    keep: Epoch = Epoch.VALIDATION
    warm_up: int = 0
    warm_lr: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} is {value!r}: expected a whole number of 1 or more")
        if isinstance(self.warm_up, bool) or not isinstance(self.warm_up, int) or self.warm_up < 0:
            raise UsageError(f"warm_up is {self.warm_up!r}: expected a whole number of 0 or more")
        if self.warm_up >= self.epochs:
            raise UsageError(
                f"warm_up is {self.warm_up} of {self.epochs} epochs: expected fewer, or nothing is learnt"
            )
        for name in ("lr", "eps", "warm_lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}: expected a number above 0")
        if not 0 <= self.weight_decay < math.inf:
            raise UsageError(f"weight_decay is {self.weight_decay}: expected 0 or more")


@dataclass(frozen=True)
class Trained:
    """What became of a training; the parameters themselves were changed in place.

    Args:
        epoch: whose parameters were kept; 0 is before the first step.
        standing: of that epoch on validation; ``None`` where none was looked at.
        loss: mean training loss of the last epoch, in nats.
    """

    epoch: int
    standing: Standing | None
    loss: float

    @property
    def rank(self) -> Standing:
        """What trainings are compared by, the least the best. Raises ``UsageError`` without validation rows."""
        if self.standing is None:
            raise UsageError("trainings are to be compared on validation rows and there are none")
        return self.standing


@dataclass(frozen=True, eq=False)
class Rows:
    """Labelled rows as torch sees them: (n, d) float32 and (n,) int64."""

    features: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(
        cls, features: NDArray[np.floating], labels: NDArray[np.int64], device: torch.device | None = None
    ) -> Rows:
        """Copy them, so that nothing done here reaches the caller's; onto ``device``, if one is named."""
        return cls(tensor(features).to(device), torch.from_numpy(labels.astype(np.int64)).to(device))


def tensor(array: NDArray[np.floating]) -> torch.Tensor:
    """A float32 copy."""
    return torch.from_numpy(np.array(array, dtype=np.float32))


def train(
    parameters: Sequence[torch.Tensor],
    logits: Callable[[torch.Tensor], torch.Tensor],
    rows: Rows,
    val: Rows | None,
    schedule: Schedule,
    key: Key,
    *,
    products: int | None = None,
) -> Trained:
    """Lower the cross-entropy of ``logits`` on ``rows`` by changing ``parameters`` in place.

    Args:
        parameters: leaves that require a gradient.
        logits: (b, d) features -> (b, c), differentiable in the parameters.
        rows: to train on.
        val: to choose the epoch on; needed unless the schedule keeps the last one.
        schedule: how.
        key: of the batches.
        products: of a step, where they are more than rows times parameters; it decides the threads.

    Raises:
        UsageError: when ``val`` is needed and missing.
    """
    if val is None and schedule.keep is Epoch.VALIDATION:
        raise UsageError("an epoch is to be chosen on validation rows and there are none")
    least = min(schedule.batch, len(rows.labels)) * sum(p.numel() for p in parameters)
    with _threads(least if products is None else products):
        return _train(parameters, logits, rows, val, schedule, key)


def _train(
    parameters: Sequence[torch.Tensor],
    logits: Callable[[torch.Tensor], torch.Tensor],
    rows: Rows,
    val: Rows | None,
    schedule: Schedule,
    key: Key,
) -> Trained:
    n = len(rows.labels)
    steps = math.ceil(n / schedule.batch)
    optimiser = _optimiser(parameters, schedule)
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, _rates(schedule, steps))
    generator = key.fold("batches").torch_generator()
    best = _judge(logits, val, 0)
    kept = [p.detach().clone() for p in parameters]
    loss = math.nan
    for epoch in range(1, schedule.epochs + 1):
        order = torch.randperm(n, generator=generator) if steps > 1 else torch.arange(n)
        total = 0.0
        for first in range(0, n, schedule.batch):
            batch = order[first : first + schedule.batch]
            optimiser.zero_grad()
            value = torch.nn.functional.cross_entropy(logits(rows.features[batch]), rows.labels[batch])
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            rates.step()
            total += float(value.detach()) * len(batch)
        loss = total / n
        if schedule.keep is Epoch.LAST:
            best = _judge(logits, val, epoch) if epoch == schedule.epochs else best
            continue
        now = _judge(logits, val, epoch)
        if now[0] is not None and best[0] is not None and now[0] < best[0]:
            best, kept = now, [p.detach().clone() for p in parameters]
    if schedule.keep is Epoch.VALIDATION:
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)
    return Trained(best[1], best[0], loss)


def parse_keep(keep: str) -> Epoch:
    """The rule of this name. Raises ``UsageError`` for another."""
    if keep not in tuple(member.value for member in Epoch):
        raise UsageError(f"keep is {keep!r}: expected 'validation' or 'last'")
    return Epoch(keep)


def tell(trained: Trained, schedule: Schedule) -> dict[str, Any]:
    """What a row says of a training."""
    facts: dict[str, Any] = {"epoch": trained.epoch, "epochs": schedule.epochs, "train_loss": trained.loss}
    if trained.standing is not None:
        facts["val_accuracy"] = trained.standing.accuracy
        facts["val_log_loss"] = trained.standing.log_loss
    return facts


@contextmanager
def _threads(products: int) -> Iterator[None]:
    """Below a thousand million products a step, one thread: the same bits on any number of cores.

    Steps this small gain little from a second thread, and where other work holds its core they wait for it: ten
    times as long was measured.
    """
    before = torch.get_num_threads()
    if products < 1_000_000_000:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rates(schedule: Schedule, steps: int) -> Callable[[int], float]:
    """The rate at a step over ``schedule.lr``: flat while warming up, then a half cosine over what is left."""
    warm, total = schedule.warm_up * steps, schedule.epochs * steps

    def rate(step: int) -> float:
        if step < warm:
            return schedule.warm_lr / schedule.lr
        return (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2

    return rate


def _optimiser(parameters: Sequence[torch.Tensor], schedule: Schedule) -> torch.optim.Optimizer:
    if schedule.optimiser is Optimiser.SGD:
        return torch.optim.SGD(
            parameters, lr=schedule.lr, momentum=MOMENTUM, weight_decay=schedule.weight_decay
        )
    make = torch.optim.Adam if schedule.optimiser is Optimiser.ADAM else torch.optim.AdamW
    return make(parameters, lr=schedule.lr, eps=schedule.eps, weight_decay=schedule.weight_decay)


def _judge(
    logits: Callable[[torch.Tensor], torch.Tensor], val: Rows | None, epoch: int
) -> tuple[Standing | None, int]:
    if val is None:
        return None, epoch
    with torch.no_grad():
        scores = logits(val.features).double().cpu().numpy()
    return standing(scores, val.labels.cpu().numpy()), epoch
