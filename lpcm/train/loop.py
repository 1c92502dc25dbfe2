"""The training loop: features through heads into the contrastive loss. Chooses the epoch on validation only.

Features are kept ones, or those of towers that learn with the heads (``lpcm.train.sides``).

Deterministic for a key and a number of threads: weights, batches, captions and noise are drawn from it, so that a
training that was stopped goes on to the same bytes. No global generator is touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.loss import contrastive_loss
from lpcm.train.columns import Columns
from lpcm.train.heads import Pair
from lpcm.train.pairs import Pairs
from lpcm.train.recipe import Recipe
from lpcm.train.sides import Inputs, features_now, sides_of
from lpcm.train.validation import Retrieval, retrieval


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to.

    Args:
        number: 1 for the first.
        loss: mean over its steps, in nats.
        temperature: at its end.
        val: retrieval of the validation pairs; ``None`` where there are none.
    """

    number: int
    loss: float
    temperature: float
    val: Retrieval | None

    def told(self) -> dict[str, Any]:
        """As JSON values; :meth:`read` reads them back."""
        return asdict(self)

    @classmethod
    def read(cls, values: dict[str, Any]) -> Epoch:
        """The epoch of these values."""
        val = values["val"]
        if val is not None:
            val = Retrieval(**{**val, "deep": tuple(val["deep"])})
        return cls(values["number"], values["loss"], values["temperature"], val)


@dataclass
class Progress:
    """How far a training is; what a checkpoint keeps beside the tensors.

    Args:
        epochs: that are done.
        best: number of the epoch whose weights are kept; 0 is before the first step.
        best_score: of it on validation; -1 where there is no validation.
        steps: that the optimiser took.
        clamped: whether the scale was held at its bound.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    best_score: float = -1.0
    steps: int = 0
    clamped: bool = False


class Keeper(Protocol):
    """Where a training puts its checkpoints, and finds one to go on from."""

    def restore(self, training: Training) -> None:
        """Bring a training to where the last checkpoint was; leaves it alone when there is none."""
        ...

    def keep(self, training: Training) -> None:
        """Write a checkpoint."""
        ...


class Training:
    """One training, epoch by epoch.

    Args:
        pair: trained in place.
        recipe: schedule and loss.
        train: pairs to learn from, checked by ``Pairs.for_training``.
        val: pairs to choose the epoch on; without them the last epoch is kept.
        key: of batches, captions and noise.
        inputs: what the pair's towers read of ``train`` and of ``val``, where it has any.
        told: told of images that a tower has read in an epoch: what, done, total.

    Attributes:
        best: the weights to keep, those of ``progress.best``.
    """

    def __init__(
        self,
        pair: Pair,
        recipe: Recipe,
        train: Pairs,
        val: Pairs | None,
        key: Key,
        inputs: tuple[Inputs, Inputs] = (Inputs(), Inputs()),
        told: Callable[[str, int, int], None] = lambda what, done, total: None,
    ) -> None:
        self.pair, self.recipe, self.val = pair, recipe, val
        self.progress = Progress()
        self.best = _copied(pair)
        self._train = train.for_training(recipe.batch)
        self._columns = Columns(train)
        self._images, self._texts = sides_of(pair, train, inputs[0], recipe)
        self._val_inputs, self._told = inputs[1], told
        self._device = pair.log_scale.device
        self._key = key
        self.batches = math.ceil(len(train) / (recipe.batch or len(train)))
        towers = list(pair.towers.parameters())
        slow = {id(parameter) for parameter in towers}
        heads = [parameter for parameter in pair.parameters() if id(parameter) not in slow]
        groups = _groups(heads, recipe.lr, recipe.weight_decay)
        if towers:
            groups += _groups(towers, recipe.tower_lr, recipe.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.lr)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._rate)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done or validation has not become better for long enough."""
        done = len(self.progress.epochs)
        waited = done - self.progress.best
        stale = self.val is not None and 0 < self.recipe.patience <= waited
        return done >= self.recipe.epochs or stale

    def run(self, keeper: Keeper | None = None, tell: Callable[[Epoch], None] = lambda _: None) -> Progress:
        """Train to the end.

        Args:
            keeper: keeps a checkpoint after each epoch, and is asked for one first.
            tell: called after each epoch.

        Raises:
            DataError: when the loss is no longer finite; the last checkpoint is from before that.
        """
        if keeper is not None:
            keeper.restore(self)
        if self.val is not None and not self.progress.epochs:
            self.progress.best_score = self._validated("validation").score
        while not self.finished:
            self._epoch()
            if keeper is not None:
                keeper.keep(self)
            tell(self.progress.epochs[-1])
        return self.progress

    def resume_schedule(self) -> None:
        """Set the rate to that of the step that ``progress`` says comes next."""
        self.schedule.last_epoch = self.progress.steps
        for group, rate in zip(self.optimiser.param_groups, self.schedule.base_lrs, strict=True):
            group["lr"] = rate * self._rate(self.progress.steps)

    def _epoch(self) -> None:
        progress = self.progress
        number = len(progress.epochs) + 1
        key = self._key.fold("epoch", number)
        generator, noise = key.fold("batches").generator(), key.fold("noise").torch_generator()
        parts = np.array_split(generator.permutation(len(self._train)), self.batches)
        drawn = [self._columns.draw(rows, generator) for rows in parts]
        images = self._images.stream([rows for rows, _, _ in drawn], partial(self._told, f"epoch {number}"))
        texts = self._texts.stream([texts for _, texts, _ in drawn])
        total = 0.0
        with closing(images):
            for x, y, (_, _, labels) in zip(images, texts, drawn, strict=True):
                total += self._step(x, y, torch.from_numpy(labels).to(self._device), noise)
                progress.steps += 1
        loss = total / self.batches
        val = None if self.val is None else self._validated(f"epoch {number}, validation")
        temperature = 1 / float(self.pair.scale.detach())
        progress.epochs.append(Epoch(number, loss, temperature, val))
        if val is None or val.score > progress.best_score:
            progress.best, progress.best_score = number, -1.0 if val is None else val.score
            self.best = _copied(self.pair)

    def _validated(self, what: str) -> Retrieval:
        assert self.val is not None
        now = self.val
        if self.pair.towers:
            now = features_now(self.pair, self.val, self._val_inputs, self.recipe, partial(self._told, what))
        return retrieval(self.pair, now)

    def _step(self, x: torch.Tensor, y: torch.Tensor, labels: torch.Tensor, noise: torch.Generator) -> float:
        half = self.recipe.precision == "bf16"
        shaken = None
        if self.recipe.noise:
            shaken = (torch.randn(x.shape, generator=noise) * self.recipe.noise).to(self._device)
        self.optimiser.zero_grad(set_to_none=True)
        self._refuse_not_finite("scale", float(self.pair.scale.detach()))
        with torch.autocast(self._device.type, torch.bfloat16, enabled=half):
            placed = self.pair.images(x, shaken), self.pair.texts(y)
        loss = contrastive_loss(
            *placed,
            self.pair.scale,
            labels=labels,
            similarity=self.pair.similarity,
            power=self.pair.power,
            label_smoothing=self.recipe.label_smoothing,
            precision="bf16" if half else "auto",
        )
        value = float(loss.detach())
        self._refuse_not_finite("loss", value)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.schedule.step()
        if self.pair.clamp():
            self.progress.clamped = True
        return value

    def _refuse_not_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise DataError(
                f"the {what} is {value} at step {self.progress.steps + 1}: training cannot go on",
                f"type a lower rate, {self._lower()}, and a new --out",
            )

    def _lower(self) -> str:
        lower = f"--lr {self.recipe.lr / 10:g}"
        return f"{lower} or --tower-lr {self.recipe.tower_lr / 10:g}" if self.pair.towers else lower

    def _rate(self, step: int) -> float:
        """Share of the highest rate: a line up while warming up, then a half cosine to 0."""
        total = self.recipe.epochs * self.batches
        warm = round(self.recipe.warm_up * total)
        if step < warm:
            return (step + 1) / (warm + 1)
        return (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm)))) / 2


def _groups(parameters: Sequence[nn.Parameter], lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Those that are trained: matrices, which are decayed, and the others, which are not."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() > 1], "lr": lr, "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "lr": lr, "weight_decay": 0.0},
    ]


def _copied(pair: Pair) -> dict[str, torch.Tensor]:
    return deepcopy(pair.state_dict())
