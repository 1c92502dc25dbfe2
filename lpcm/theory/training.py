"""Two encoders trained by one contrastive loss: explore, turn, refine. Refuses to look at a latent.

What it does and why is said by :class:`lpcm.theory.recipe.Recipe`. Batches are drawn from a key folded with their
number, so that a training that goes on from a checkpoint gives the numbers of one that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import lpcm
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import Geometry
from lpcm.theory.checkpoint import Checkpoint
from lpcm.theory.encoder import FIT_ENTRY, Encoder, Whitening
from lpcm.theory.generative import GenerativeModel
from lpcm.theory.objective import space_loss
from lpcm.theory.recipe import Entry, Recipe
from lpcm.theory.schedule import optimisers_of, schedule, step_all
from lpcm.theory.turn import Turn, turned

_FREE_SCALE = 0.3  # at the start of explore: outputs have norms of a few units


class Phase(str, Enum):
    """What is being trained."""

    EXPLORE = "explore"
    REFINE = "refine"


@dataclass(frozen=True)
class Temperature:
    """Who sets the scale of the logits, 1 / temperature.

    Args:
        learned: whether the loss moves it; it starts at ``scale`` all the same.
        scale: at the start, or for good.
    """

    learned: bool
    scale: float

    @classmethod
    def parse(cls, text: str | float, geometry: Geometry) -> Temperature:
        """Read ``learned``, or a factor on the scale that the theory asks for: 1 is right, 3 too cold.

        Raises:
            UsageError: for anything else, or a factor where the theory names no scale.
        """
        matched: float | None = getattr(geometry, "matched_scale", None)
        if text == "learned":
            return cls(True, 3.0 if matched is None else min(3.0, matched))
        try:
            factor = float(text)
        except ValueError:
            factor = math.nan
        if not (math.isfinite(factor) and factor > 0):
            raise UsageError(
                f"temperature is {text!r}: expected learned, or a factor above 0 on the scale of the theory",
                "type temperature=learned, or temperature=1 for the right scale",
            )
        if matched is None:
            raise UsageError(
                f"temperature is {text!r}, a factor on the scale of the theory, which names none for these laws",
                "type temperature=learned",
            )
        return cls(False, factor * matched)


@dataclass(frozen=True)
class Point:
    """How a training stood.

    Args:
        phase, step: when.
        loss: of that step's batch, in nats.
        scale: of the logits.
        score: of the image side on fresh pairs.
    """

    phase: str
    step: int
    loss: float
    scale: float
    score: float


@dataclass(frozen=True, eq=False)
class Trained:
    """A pair of encoders.

    Args:
        image, text: x -> codes (n, k), t -> codes (n, k).
        scale: of the logits, at the end.
        curve: how it went.
        turns: loss of each random rotation that was tried; empty when none was.
    """

    image: Encoder
    text: Encoder
    scale: float
    curve: tuple[Point, ...]
    turns: tuple[float, ...]


def train(
    model: GenerativeModel,
    space: Geometry,
    recipe: Recipe,
    temperature: Temperature,
    key: Key,
    workspace: Path,
    *,
    score: Callable[[Encoder], float],
    progress: Callable[[int, int, str], None],
) -> Trained:
    """Train a pair of encoders on pairs of a model.

    Args:
        model: where pairs come from.
        space: what the encoders land in; as wide as their codes, which need not be as wide as the latents.
        recipe: how.
        temperature: who sets the scale.
        key: where randomness comes from.
        workspace: folder for the checkpoint.
        score: told of the image encoder now and then, for the progress line; it steers nothing.
        progress: told how far it is.

    Raises:
        DataError: when the loss stops being a number.
    """
    run = _Run(model, space, recipe, temperature, key)
    checkpoint = Checkpoint(
        workspace / "checkpoint.safetensors", _identity(model, space, recipe, temperature, key)
    )
    run.resume(checkpoint)
    run.finish(checkpoint, score, progress)
    return Trained(run.image, run.text, run.scale, tuple(run.curve), tuple(run.turns))


class _Run:
    """A training under way."""

    def __init__(
        self, model: GenerativeModel, space: Geometry, recipe: Recipe, temperature: Temperature, key: Key
    ) -> None:
        self.model, self.space, self.recipe, self.temperature, self.key = (
            model, space, recipe, temperature, key,
        )  # fmt: skip
        self.image, self.text = encoders(model, space, recipe, key)
        self.log_scale = nn.Parameter(torch.tensor(math.log(temperature.scale)), temperature.learned)
        self.curve: list[Point] = []
        self.turns: list[float] = []
        self.step = 0
        # The dot product has no bad optima to be kept out of, and no distance to explore by.
        explored = 0 if space.similarity == "dot" else round(recipe.explore * recipe.steps)
        self.lengths = {Phase.EXPLORE: explored, Phase.REFINE: recipe.steps - explored}
        self.phase = Phase.EXPLORE if explored else Phase.REFINE
        self._begin()

    @property
    def scale(self) -> float:
        return float(self.log_scale.detach().exp())

    def finish(
        self,
        checkpoint: Checkpoint,
        score: Callable[[Encoder], float],
        progress: Callable[[int, int, str], None],
    ) -> None:
        every = max(1, self.recipe.steps // self.recipe.points)
        total = self.recipe.steps
        while True:
            while self.step < self.lengths[self.phase]:
                loss = self._advance()
                done = self.step + (self.lengths[Phase.EXPLORE] if self.phase is Phase.REFINE else 0)
                if done % every == 0 or self.step == self.lengths[self.phase]:
                    value = score(self.image) if self.phase is Phase.REFINE else math.nan
                    point = Point(self.phase.value, self.step, round(loss, 6), self._shown_scale(), value)
                    self.curve.append(point)
                    said = "" if math.isnan(value) else f", score {value:.4f}"
                    progress(
                        done, total, f"{self.phase.value}: loss {loss:.4f}, scale {point.scale:.4g}{said}"
                    )
                if done % self.recipe.checkpoint == 0:
                    self.save(checkpoint)
            if self.phase is Phase.REFINE:
                return
            self._turn()
            self.phase, self.step = Phase.REFINE, 0
            self._begin()
            self.save(checkpoint)

    def _begin(self) -> None:
        """Fresh optimisers for a phase; explore has a scale of its own."""
        self.free_scale = nn.Parameter(torch.tensor(math.log(_FREE_SCALE)))
        self.optimisers = optimisers_of(
            self.recipe, (self.image, self.text), (self.log_scale, self.free_scale)
        )

    def _advance(self) -> float:
        """One step; its loss."""
        recipe, length = self.recipe, self.lengths[self.phase]
        pairs = self.model.draw(self.key.fold(self.phase.value, self.step), recipe.batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.step < recipe.coarse * length):
            x, t = self.image.trunk(torch.from_numpy(pairs.x)), self.text.trunk(torch.from_numpy(pairs.t))
        if self.phase is Phase.EXPLORE:
            scale = self.free_scale.exp()
            losses = [
                lpcm.contrastive_loss(a, b, scale, similarity="sqeuclidean") for a, b in self._blocks(x, t)
            ]
        else:
            scale = self.log_scale.exp()
            codes = self._blocks(self.image.head(x), self.text.head(t))
            losses = [space_loss(self.space, a, b, scale) for a, b in codes]
        loss = torch.stack(losses).mean()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(
                f"the loss is {value} at step {self.step} of {self.phase.value}", "take a lower learning rate"
            )
        factor = 1.0 if recipe.constant else schedule(self.step, length, recipe.warm_up)
        step_all(self.optimisers, loss, factor)
        self.step += 1
        return value

    def _blocks(self, x: torch.Tensor, t: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Pairs of a batch that the loss compares with each other, all blocks of nearly one size."""
        count = max(1, round(len(x) / (self.recipe.block or len(x))))
        return list(zip(x.tensor_split(count), t.tensor_split(count), strict=True))

    def _turn(self) -> None:
        """Put the linear map between explore and refine into the MLPs."""
        pairs = self.model.draw(self.key.fold("turn"), 4 * self.recipe.batch)
        with torch.no_grad():
            x, t = self.image.trunk(torch.from_numpy(pairs.x)), self.text.trunk(torch.from_numpy(pairs.t))
        found: Turn = turned(
            x, t, self.space, self.recipe, self.scale, self.temperature.learned, self.key.fold("turn")
        )
        self.turns = list(found.losses)
        for encoder in (self.image, self.text):
            encoder.turn(found.weight, found.bias)
            encoder.head.load_state_dict(found.head)
        with torch.no_grad():
            self.log_scale.fill_(found.log_scale)

    def _shown_scale(self) -> float:
        shown = self.free_scale if self.phase is Phase.EXPLORE else self.log_scale
        return round(float(shown.detach().exp()), 4)

    # --- checkpoints ---------------------------------------------------------------------------

    def save(self, checkpoint: Checkpoint) -> None:
        """Write all that the next step depends on."""
        tensors = {f"{name}.{k}": v for name, m in self._modules().items() for k, v in m.state_dict().items()}
        tensors |= {"log_scale": self.log_scale.detach(), "free_scale": self.free_scale.detach()}
        for place, (optimiser, _) in enumerate(self.optimisers):
            for i, state in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{place}.{i}.{k}": v for k, v in state.items()}
        facts = {
            "phase": self.phase.value,
            "step": self.step,
            "turns": self.turns,
            "curve": [[p.phase, p.step, p.loss, p.scale, p.score] for p in self.curve],
        }
        checkpoint.save(tensors, facts)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same training, when there is one."""
        found = checkpoint.load()
        if found is None:
            return
        tensors, facts = found
        self.phase, self.step = Phase(facts["phase"]), int(facts["step"])
        self.turns = list(facts["turns"])
        self.curve = [Point(*values) for values in facts["curve"]]
        self._begin()
        for name, module in self._modules().items():
            module.load_state_dict(_under(tensors, f"{name}."))
        with torch.no_grad():
            self.log_scale.copy_(tensors["log_scale"])
            self.free_scale.copy_(tensors["free_scale"])
        for place, (optimiser, _) in enumerate(self.optimisers):
            state: dict[int, dict[str, torch.Tensor]] = {}
            for path, tensor in _under(tensors, f"optimiser.{place}.").items():
                i, _, name = path.partition(".")
                state.setdefault(int(i), {})[name] = tensor
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})

    def _modules(self) -> dict[str, nn.Module]:
        return {"image": self.image, "text": self.text}


def encoders(model: GenerativeModel, space: Geometry, recipe: Recipe, key: Key) -> tuple[Encoder, Encoder]:
    """A pair of encoders that have learnt nothing yet."""
    entries: dict[str, nn.Module] = {"image": nn.Identity(), "text": nn.Identity()}
    if recipe.entry is Entry.WHITENED:
        pairs = model.draw(key.fold("entry"), FIT_ENTRY)
        entries = {"image": Whitening(pairs.x), "text": Whitening(pairs.t)}
    image, text = (
        Encoder(
            entry, model.image.d, space.dim, recipe.shape, space.head(space.dim), key.fold("weights", side)
        )
        for side, entry in entries.items()
    )
    return image, text


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}


def _identity(
    model: GenerativeModel, space: Geometry, recipe: Recipe, temperature: Temperature, key: Key
) -> Mapping[str, Any]:
    """What a checkpoint belongs to."""
    return {
        "recipe": repr(recipe),
        "mixings": [[weight.tolist() for weight in side.weights] for side in (model.image, model.text)],
        "model": [model.m, model.spread, model.dependence, model.misaligned],
        "temperature": repr(temperature),
        "space": [type(space).__name__, space.dim, space.similarity],
        "key": key.state.hex(),
        "versions": [torch.__version__, np.__version__],
    }
