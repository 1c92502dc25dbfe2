"""CCA-FT: CCA with its class vectors and a map of its unmixed keys trained on the shots.

Refuses to choose an epoch by anything but validation. Here, unlike in cca, the axes of the unmixing can matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.cca import CCA, FUSION_START, NAMES
from lpcm.adapters.cca_model import TEMPERATURE, Array, Model
from lpcm.adapters.prompts import unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.trained import Labelled
from lpcm.adapters.validation import Standing, standing, validation_rows
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

ALPHA_START, BETA_START = 2.0, 1.0
"""Of the cache's weight and sharpness while training: the medians of the published starts."""

EPS, DECAY_EVERY, DECAY = 1e-4, 10, 0.95
"""Of AdamW, and of the learning rates: times 0.95 every ten steps, as published."""


class CCAFT(CCA):
    """CCA whose classifier T (from W) and map of the keys R (from the identity) are trained on the shots.

        loss = mean_i -log softmax(logits(f_i))[y_i]  +  l1 sum |R|

    Training has alpha, beta, gamma and eta at fixed values (2, 1, 0.01, 0.01 where they are not given) and keeps
    the epoch that stands best on validation, the untrained start among them; then they are chosen as in ``CCA``.

    Args:
        alpha: weight of the cache; ``None`` chooses it on validation after training.
        beta: its sharpness; likewise.
        gamma: weight of the prompts' attention to the shots; likewise.
        eta: weight of the query's attention to the prompts; likewise.
        unmix: ``"ica"``, ``"whiten"`` or ``"none"``: what is fitted on the shots.
        k: components of it; ``None`` takes min(256, d, n // 5).
        epochs: passes over the shots.
        lr: learning rate of R at the start.
        lr_text: learning rate of T at the start.
        l1: weight of the penalty.
        batch: rows a step.

    Source: arXiv 2508.03102 and its code, with the attention over all shots in training too, and the epoch chosen
    on validation.
    """

    name = "cca-ft"

    published = Published(
        settings_on=LooksAt.SPLIT,
        epoch_on=LooksAt.TEST,
        rule="the epoch is that of the best test accuracy, the weights are then searched on the whole validation"
        " split, and the larger of the two test accuracies is reported",
        source="released code of arXiv 2508.03102",
    )

    def __init__(
        self,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
        eta: float | None = None,
        unmix: str = "ica",
        k: int | None = None,
        epochs: int = 20,
        lr: float = 1e-3,
        lr_text: float = 1e-4,
        l1: float = 1e-5,
        batch: int = 128,
    ) -> None:
        super().__init__(alpha=alpha, beta=beta, gamma=gamma, eta=eta, unmix=unmix, k=k)
        for name, count in (("epochs", epochs), ("batch", batch)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise UsageError(f"{name} is {count!r}: expected a whole number of 1 or more")
        for name, rate in (("lr", lr), ("lr_text", lr_text), ("l1", l1)):
            if not 0 <= rate < math.inf:
                raise UsageError(f"{name} is {rate}: expected a number of 0 or more")
        self.epochs, self.lr, self.lr_text, self.l1, self.batch = epochs, lr, lr_text, l1, batch

    @property
    def selection(self) -> str:
        """How the epoch and the four weights are chosen, as the row says it."""
        return f"epoch: validation accuracy, then log-loss; weights: {super().selection}"

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: Labelled | None = None,
        text: TextPrompts | None = None,
        oracle: Labelled | None = None,
    ) -> CCAFT:
        """Train on (n, d) features, (n,) labels in [0, c) and the prompts; ``key`` is where ICA starts.

        ``oracle`` holds rows to choose the epoch on instead of ``val``, where a published rule does so.

        Raises:
            UsageError: when there is no text, or no validation row.
            DataError: when there are no rows, or the prompts do not fit the features.
        """
        self._judges = oracle
        super().fit(features, labels, classes=classes, key=key, val=val, text=text)
        return self

    @property
    def _in_training(self) -> tuple[float, float, float, float]:
        """Alpha, beta, gamma and eta while training."""
        return (
            ALPHA_START if self.alpha is None else self.alpha,
            BETA_START if self.beta is None else self.beta,
            FUSION_START if self.gamma is None else self.gamma,
            FUSION_START if self.eta is None else self.eta,
        )

    def _settle(self, model: Model, val: Labelled | None) -> None:
        """Choose the weights; as published, take those of training where the oracle's rows say so."""
        super()._settle(model, val)
        if self._judges is None:
            return
        rows, truth = self._judges
        found, after = self._weights, self._right(rows, truth)
        self._weights = self._in_training
        before = self._right(rows, truth)
        self._facts["reported"] = "after the search" if after > before else "as trained"
        if after > before:
            self._weights = found
        self._facts.update(zip(NAMES, self._weights, strict=True))

    def _right(self, rows: NDArray[np.float32], truth: NDArray[np.int64]) -> int:
        return int((self.logits(rows).argmax(1) == truth).sum())

    def _trained(
        self,
        model: Model,
        F: Array,
        labels: NDArray[np.int64],
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
        key: Key,
    ) -> Model:
        judges = val if self._judges is None else self._judges
        rows, truth = validation_rows(judges, adapter=self.name, chosen="the epoch", instead="")
        F, y = F[model.order], labels[model.order]
        turn = torch.eye(model.keys.shape[1], requires_grad=True)
        classifier = _tensor(model.vectors).requires_grad_()
        on_shots = self._forward(model, F, y, turn, classifier)
        on_val = self._forward(model, F, y, turn, classifier, unit(rows))
        target = torch.from_numpy(y)
        # Two optimisers in one: each parameter has its own moments anyway.
        optimiser = torch.optim.AdamW(
            [{"params": [turn], "lr": self.lr}, {"params": [classifier], "lr": self.lr_text}], eps=EPS
        )
        falling = torch.optim.lr_scheduler.StepLR(optimiser, step_size=DECAY_EVERY, gamma=DECAY)
        generator = key.fold("batches").torch_generator()
        everything = torch.arange(len(truth))
        best, epoch_kept, loss = _judge(on_val, everything, truth), 0, math.nan
        kept = turn.detach().clone(), classifier.detach().clone()
        for epoch in range(1, self.epochs + 1):
            total = 0.0
            order = torch.randperm(len(y), generator=generator)
            for first in range(0, len(y), self.batch):
                batch = order[first : first + self.batch]
                optimiser.zero_grad()
                entropy = torch.nn.functional.cross_entropy(on_shots(batch), target[batch])
                (entropy + self.l1 * turn.abs().sum()).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                falling.step()
                total += float(entropy.detach()) * len(batch)
            loss = total / len(y)
            now = _judge(on_val, everything, truth)
            if now < best:
                best, epoch_kept = now, epoch
                kept = turn.detach().clone(), classifier.detach().clone()
        self._facts.update(epoch=epoch_kept, epochs=self.epochs, train_loss=loss)
        return replace(model, turn=kept[0].double().numpy(), classifier=kept[1].double().numpy())

    def _forward(
        self,
        model: Model,
        F: Array,
        y: NDArray[np.int64],
        turn: torch.Tensor,
        classifier: torch.Tensor,
        queries: Array | None = None,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Logits of some of the queries (of the shots, by default), differentiable in turn and classifier."""
        f = F if queries is None else queries
        alpha, beta, gamma, eta = self._in_training
        terms = model.terms(f)
        still = _tensor(gamma * terms.from_shots + eta * terms.from_text)
        plain, unmixed, keys = _tensor(f), _tensor(model.unmix(f)), _tensor(model.keys)
        one_hot = _tensor(np.eye(len(model.vectors))[y])

        def logits(which: torch.Tensor) -> torch.Tensor:
            # u(f) (u(F) R)' with R on the side of the queries, of which there are fewer than keys.
            affinity = (unmixed[which] @ turn.T) @ keys.T
            low = affinity.amin(1, keepdim=True)
            spread = (affinity.amax(1, keepdim=True) - low).clamp_min(1e-12)
            votes = torch.exp(-beta * (1 - (affinity - low) / spread)) @ one_hot
            return TEMPERATURE * (plain[which] @ classifier.T) + still[which] + alpha * votes

        return logits


def _judge(
    logits: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, truth: NDArray[np.int64]
) -> Standing:
    with torch.no_grad():
        return standing(logits(rows).double().numpy(), truth)


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32))
