"""CoOp: the words before a class name are vectors, trained through the frozen text tower.

Refuses encoders whose text tower cannot be differentiated, and to pick an epoch by test accuracy.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.adapters.prompts import unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.tip_adapter import TEMPERATURE
from lpcm.adapters.trained import Held, Problem, TrainedAdapter
from lpcm.adapters.training import Epoch, Optimiser, Rows, Schedule, parse_keep, tell, train
from lpcm.errors import UsageError
from lpcm.plugin.tuner import PromptTuner

CONTEXT = 16
"""Context vectors where neither their number nor a phrase is given."""

SPREAD = 0.02
"""Standard deviation of a context that is drawn."""

PUBLISHED_EPOCHS = ((8, 200), (2, 100), (1, 50))
"""From so many shots a class on, so many epochs: Zhou et al. 2022, section 4.1."""

_LAYERS = 6  # of the smallest towers in use, with 12 w^2 products a token in each


class Context(str, Enum):
    """Whose context vectors are."""

    UNIFIED = "unified"  # the same for all classes
    CLASS_SPECIFIC = "class-specific"  # each class has its own


class Position(str, Enum):
    """Where the class name stands."""

    END = "end"  # behind all context vectors
    MIDDLE = "middle"  # behind the first half of them, rounded down


class CoOp(TrainedAdapter):
    """Zero-shot with a learnt context in place of "a photo of a".

        logits = 100 f T',   T_c = g([V_1] ... [V_M] [name of c] .)

    with unit image features f, the frozen text tower g made unit, and vectors V (M, w) in the space of its token
    embeddings, trained by cross-entropy on the shots. With ``context="class-specific"`` each class has its own V;
    with ``position="middle"`` the second half of V stands behind the name.

    Args:
        m: M, context vectors; ``None`` is 16, or as many as ``phrase`` has tokens.
        phrase: words that V starts from, for example ``"a photo of a"``; ``None`` draws V with standard deviation
            0.02.
        context: ``"unified"`` or ``"class-specific"``.
        position: ``"end"`` or ``"middle"``, of the class name.
        epochs: passes over the shots; ``None`` takes the published 200 from 8 shots a class on, 100 from 2, 50 for 1.
        lr, batch, weight_decay: of SGD with momentum 0.9: one epoch at 1e-5, then a half cosine over all steps.
        keep: ``"validation"`` keeps the best epoch there, of which 0 is untrained; ``"last"`` the last one.

    Source: Zhou et al. 2022, "Learning to prompt for vision-language models" (IJCV), sections 3.2 and 4.1; the spread,
    the warm-up and the optimiser's constants are those of the released code.
    """

    name = "coop"
    chosen = "the epoch"
    instead = ("keep=last",)
    published = Published(
        settings_on=LooksAt.NOTHING,
        settings={"epochs": None, "batch": 32, "lr": 2e-3, "keep": Epoch.LAST.value},
        rule="epochs by the number of shots, steps of 32 rows, and the last epoch is kept",
        source="Zhou et al. 2022, section 4.1, and its released code",
    )

    def __init__(
        self,
        *,
        m: int | None = None,
        phrase: str | None = None,
        context: str = Context.UNIFIED.value,
        position: str = Position.END.value,
        epochs: int | None = 50,
        lr: float = 1.6e-2,
        batch: int = 256,
        weight_decay: float = 5e-4,
        keep: str = Epoch.VALIDATION.value,
    ) -> None:
        if m is not None and (isinstance(m, bool) or not isinstance(m, int) or m < 1):
            raise UsageError(f"m is {m!r}: expected a whole number of 1 or more")
        if phrase is not None and not phrase.strip():
            raise UsageError(f"phrase is {phrase!r}: expected words, for example 'a photo of a'")
        self.m, self.phrase = m, phrase
        self.context = _member(Context, context, "context")
        self.position = _member(Position, position, "position")
        self._by_shots = epochs is None
        many = 1 if epochs is None else epochs
        self._schedule = Schedule(
            epochs=many,
            warm_up=1 if many > 1 else 0,
            lr=lr,
            batch=batch,
            optimiser=Optimiser.SGD,
            weight_decay=weight_decay,
            keep=parse_keep(keep),
        )
        self.selection = f"epoch: {keep}"

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        logits: NDArray[np.float64] = TEMPERATURE * (unit(features) @ self._vectors.T)
        return logits

    @property
    def _searched(self) -> bool:
        return False

    def _learn(self, problem: Problem) -> None:
        tuner = _tuner(problem)
        names = problem.text.classes
        start = self._start(tuner, len(names), problem)
        m = start.shape[-2]
        before = m // 2 if self.position is Position.MIDDLE else m
        context = start.requires_grad_()
        if self._by_shots:
            shots = len(problem.labels) / len(np.unique(problem.labels))
            epochs = next(many for least, many in PUBLISHED_EPOCHS if shots >= least)
            self._schedule = replace(self._schedule, epochs=epochs, warm_up=1)

        def logits(f: torch.Tensor) -> torch.Tensor:
            return TEMPERATURE * (f @ tuner.encode(context, names, before=before).T)

        def rows(held: Held | None) -> Rows | None:
            return None if held is None else Rows.of(held.rows, held.truth, tuner.device)

        trained = train(
            [context],
            logits,
            Rows.of(problem.rows, problem.labels, tuner.device),
            rows(problem.judges),
            self._schedule,
            problem.key,
            # Start, end, full stop and one token of a name are the least that stands beside the context.
            products=len(names) * (m + 4) * _LAYERS * 12 * tuner.width**2,
        )
        with torch.no_grad():
            self._vectors = tuner.encode(context, names, before=before).double().cpu().numpy()
        self._facts = {
            "m": m,
            "context": self.context.value,
            "position": self.position.value,
            "start": "drawn" if self.phrase is None else self.phrase,
            "moved": float((context.detach() - self._start(tuner, len(names), problem)).norm()),
            **tell(trained, self._schedule),
        }

    def _start(self, tuner: PromptTuner, classes: int, problem: Problem) -> torch.Tensor:
        """The context before training: (m, w), or (c, m, w) where each class has its own."""
        own = self.context is Context.CLASS_SPECIFIC
        if self.phrase is not None:
            words = tuner.context_of(self.phrase)
            if self.m not in (None, len(words)):
                raise UsageError(
                    f"m is {self.m}, and the phrase {self.phrase!r} has {len(words)} tokens",
                    f"leave out coop.m, or --set coop.m={len(words)}",
                )
            return words.repeat(classes, 1, 1) if own else words
        shape = (CONTEXT if self.m is None else self.m, tuner.width)
        # Drawn on the CPU: the same numbers on every device.
        generator = problem.key.fold("context").torch_generator()
        drawn = torch.randn((classes, *shape) if own else shape, generator=generator)
        return (SPREAD * drawn).to(tuner.device)


def _tuner(problem: Problem) -> PromptTuner:
    if problem.text.tuner is None:
        raise UsageError(
            "coop trains through the text tower, and this encoder hands out none to train through",
            "choose an encoder with prompt_tuner(), such as vit-b16 or lite0, or another adapter",
        )
    return problem.text.tuner()


E = TypeVar("E", bound=Enum)


def _member(kind: type[E], value: str, name: str) -> E:
    if value not in tuple(member.value for member in kind):
        raise UsageError(f"{name} is {value!r}: expected {' or '.join(repr(m.value) for m in kind)}")
    return kind(value)
