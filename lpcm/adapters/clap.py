"""CLAP: a linear probe that starts at zero-shot and is held near it, class by class. Chooses nothing.

Refuses validation rows: the method exists to do without, so they are taken and not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tuning import Fold, Tuned
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

if TYPE_CHECKING:
    import torch

TEMPERATURE = 100.0
"""Of the cosines, as CLIP was trained."""

MOMENTUM = 0.9

WARMUP = 1e-5
"""Learning rate of the first epoch, as published."""


class CLAP:
    """Cosines with class prototypes w (c, d), trained from the class vectors t (c, d) and held near them.

    With unit features f, and a penalty lambda_c for each class,

        loss = mean_i -log softmax(100 cos(f_i, w))[y_i]  +  mean_c lambda_c |w_c - t_c|^2

    lambda_c is the mean zero-shot probability that the shots of class c give to c: what zero-shot knows well is
    held tighter. A class without shots is held with lambda = 1.

    Args:
        epochs: passes over the rows.
        lr: learning rate of SGD with momentum 0.9; the first epoch has 1e-5, then a half cosine over the epochs.
        batch: rows a step.

    Source: Silva-Rodriguez et al. 2024, "A closer look at the few-shot adaptation of large vision-language
    models" (CVPR), with the multipliers fixed at their start, as in the released code and configuration
    (github.com/jusiro/CLAP, ``l2`` constraint).

    Example:
        >>> prompts = TextPrompts(np.eye(2, 3, dtype=np.float32), ("cat", "dog"))
        >>> X, y = np.array([[1, 0, 1], [0, 1, 1]], np.float32), np.arange(2)
        >>> CLAP(epochs=3).fit(X, y, classes=2, key=Key.of(0), text=prompts).logits(X).argmax(1)
        array([0, 1])
    """

    selection = "none: no validation row is looked at"

    published = Published(
        settings_on=LooksAt.NOTHING,
        rule="nothing is chosen and the last epoch is kept",
        source="Silva-Rodriguez et al. 2024, section 4",
    )

    def __init__(self, *, epochs: int = 300, lr: float = 0.1, batch: int = 256) -> None:
        for name, value in (("epochs", epochs), ("batch", batch)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} is {value!r}: expected a whole number of 1 or more")
        if not 0 < lr < math.inf:
            raise UsageError(f"lr is {lr}: expected a number above 0")
        self.epochs, self.lr, self.batch = epochs, lr, batch

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> CLAP:
        """Fit on (n, d) features, (n,) labels in [0, c) and the prompts; ``val`` is not looked at.

        Args:
            features: (n, d) float32.
            labels: (n,) in [0, c).
            classes: c.
            key: of the batches.
            val: not looked at.
            text: the prompts, needed.

        Raises:
            UsageError: when there is no text.
            DataError: when there are no rows, or the prompts do not fit the features.
        """
        import torch

        vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter="clap")
        if not len(labels):
            raise DataError("clap was given no labelled rows: expected one or more")
        X = unit(features)
        multipliers = hold(X, labels, vectors)
        F, y = torch.from_numpy(X.astype(np.float32)), torch.from_numpy(labels.astype(np.int64))
        start = torch.from_numpy(vectors.astype(np.float32))
        lambdas = torch.from_numpy(multipliers.astype(np.float32))
        prototypes = start.clone().requires_grad_()
        optimiser = torch.optim.SGD([prototypes], lr=self.lr, momentum=MOMENTUM)
        generator = key.fold("batches").torch_generator()
        loss = torch.zeros(())
        for epoch in range(self.epochs):
            for group in optimiser.param_groups:
                group["lr"] = self._rate(epoch)
            for rows in torch.randperm(len(F), generator=generator).split(self.batch):  # type: ignore[no-untyped-call]
                optimiser.zero_grad()
                loss = _loss(F[rows], y[rows], prototypes, start, lambdas)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        found = prototypes.detach().double().numpy()
        self._prototypes = unit(found)
        self._facts = {
            "epochs": self.epochs,
            "train_loss": float(loss.detach()),
            "hold_least": float(multipliers.min()),
            "hold_most": float(multipliers.max()),
            "moved": float(np.linalg.norm(found - vectors, axis=1).mean()),
        }
        if not np.isfinite(found).all():
            raise DataError(f"clap's training diverged at lr {self.lr:g}: expected a smaller clap.lr")
        return self

    def _rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        if epoch == 0:
            return WARMUP
        return 0.5 * self.lr * (1 + math.cos(math.pi * epoch / self.epochs))

    def tune(self, folds: Sequence[Fold], *, classes: int, key: Key) -> Tuned:
        """Nothing: there is nothing to choose."""
        return Tuned()

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """100 times the cosine with each prototype, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = TEMPERATURE * (unit(features) @ self._prototypes.T)
        return logits

    def report(self) -> Mapping[str, Any]:
        """Tell the last training loss, how tightly classes were held, and how far prototypes moved on average."""
        return dict(self._facts)


def hold(
    X: NDArray[np.float64], labels: NDArray[np.int64], vectors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The multiplier of each class, (c,): its shots' mean zero-shot probability, 1 where it has none."""
    scores = TEMPERATURE * (X @ vectors.T)
    p = np.exp(scores - scores.max(1, keepdims=True))
    own = (p / p.sum(1, keepdims=True))[np.arange(len(labels)), labels]
    count = np.bincount(labels, minlength=len(vectors))
    sums = np.bincount(labels, weights=own, minlength=len(vectors))
    multipliers: NDArray[np.float64] = np.where(count > 0, sums / np.maximum(count, 1), 1.0)
    return multipliers


def _loss(
    F: torch.Tensor, y: torch.Tensor, prototypes: torch.Tensor, start: torch.Tensor, lambdas: torch.Tensor
) -> torch.Tensor:
    from torch.nn.functional import cross_entropy, normalize

    logits = TEMPERATURE * (F @ normalize(prototypes, dim=1).T)
    away = (prototypes - start).square().sum(1)
    loss: torch.Tensor = cross_entropy(logits, y) + (lambdas * away).mean()
    return loss
