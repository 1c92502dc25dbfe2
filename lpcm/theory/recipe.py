"""How the lab trains: recipes as data, and three of them by name. Refuses numbers that no training has.

Imports nothing heavy but torch's layers, by way of the encoder's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lpcm.errors import UsageError, nearest
from lpcm.theory.encoder import Activation, Shape

_ACTIVATION = Activation.GENTLE

FAINT = 0.2
"""Correlation of partners below which a recipe takes many more pairs: how many are needed falls with its square."""


class Optimiser(str, Enum):
    """Who takes the steps."""

    ADAMW = "adamw"
    MUON = "muon"  # of the hidden layers' matrices (K. Jordan 2024); AdamW of everything else


class Entry(str, Enum):
    """What observations pass before the first layer."""

    WHITENED = "whitened"
    RAW = "raw"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train a pair of encoders.

    Training has up to three phases. *Explore*: the squared distance between what the MLPs give, before any head. It is
    blind to rotations, so it cannot lock latents into wrong axes, and it finds the latents up to a linear map. *Turn*:
    for a loss that sees axes, a linear map before the head, found by that loss from several random rotations, the one
    of lowest loss being kept; no latent is looked at. *Refine*: everything, by the loss that was asked for.

    Args:
        batch: pairs a step, all of them fresh.
        block: pairs of a batch that the loss compares with each other; ``None`` for all of them.
        steps: of explore and refine together.
        lr: of AdamW, at its highest; along a half cosine it falls to 0 in each phase.
        optimiser: of the hidden layers.
        muon_lr: of Muon.
        warm_up: steps of each phase in which the rate rises.
        explore: share of the steps that explores; 0 goes straight to refine.
        restarts: random rotations from which the turn is sought.
        turn_steps: steps of each.
        coarse: share of each phase whose MLPs multiply in bfloat16; sums and weights are float32.
        constant: keep the rate as it is.
        shape: of the MLPs.
        entry: what observations pass first.
        test: fresh pairs that the result is measured on.
        points: times that progress is measured.
        checkpoint: steps between checkpoints.
    """

    batch: int
    steps: int
    lr: float
    shape: Shape
    block: int | None = None
    optimiser: Optimiser = Optimiser.ADAMW
    muon_lr: float = 0.08
    warm_up: int = 50
    explore: float = 0.3
    restarts: int = 3
    turn_steps: int = 600
    coarse: float = 0.0
    constant: bool = False
    entry: Entry = Entry.WHITENED
    test: int = 4096
    points: int = 12
    checkpoint: int = 200

    def __post_init__(self) -> None:
        for name in ("batch", "steps", "test"):
            if getattr(self, name) < 2:
                raise UsageError(f"{name} is {getattr(self, name)}: expected 2 or more")
        if self.block is not None and self.block < 2:
            raise UsageError(f"block is {self.block}: expected 2 or more pairs")
        if not self.lr > 0:
            raise UsageError(f"lr is {self.lr:g}: expected a rate above 0")
        for name in ("explore", "coarse"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name):g}: expected a share from 0 to 1")


def _quick(dim: int, signal: float) -> Recipe:
    return Recipe(
        batch=256, steps=200, lr=5e-3, shape=Shape((64, 64), _ACTIVATION), optimiser=Optimiser.MUON, warm_up=20,
        restarts=2, turn_steps=50, test=1024, points=4,
    )  # fmt: skip


def _full(dim: int, signal: float) -> Recipe:
    shape = Shape((max(64, 6 * dim),) * 3, _ACTIVATION)
    if signal < FAINT:
        return Recipe(
            batch=8192, block=512, steps=36_000, lr=5e-3, muon_lr=0.05, shape=shape, optimiser=Optimiser.MUON,
            coarse=0.8,
        )  # fmt: skip
    return Recipe(batch=2048, steps=6000, lr=5e-3, shape=shape, optimiser=Optimiser.MUON, coarse=0.8)


def _paper(dim: int, signal: float) -> Recipe:
    """The recipe of Zimmermann et al. 2021, main_mlp.py, which arXiv 2402.06223 follows as far as is known."""
    return Recipe(
        batch=6144, steps=300_000, lr=1e-4, shape=Shape((10 * dim, *[50 * dim] * 4, 10 * dim)), warm_up=0, explore=0.0,
        constant=True, entry=Entry.RAW, points=1200,
    )  # fmt: skip


# What each name stands for, for latents of a width.
_PRESETS = {"quick": _quick, "full": _full, "paper": _paper}
PRESETS = tuple(_PRESETS)


def preset(name: str, dim: int, changes: Mapping[str, Any], signal: float = 1.0) -> Recipe:
    """A recipe by its name.

    Args:
        name: ``quick`` (seconds a cell; says that all works, not how good it gets), ``full`` (the default) or
            ``paper`` (days on a CPU).
        dim: d, width of the latents.
        changes: fields to replace; ``None`` leaves one as it is.
        signal: correlation of a latent with its partner, as ``lpcm.theory.generative.GenerativeModel`` measures it.
            Where it is below ``FAINT``, ``full`` draws 24 times as many pairs, and compares them in blocks: what
            a pair tells of so weak a bond is drowned by its own noise, not by that of the pairs beside it.

    Raises:
        UsageError: for an unknown name, or numbers that no training has.
    """
    from dataclasses import replace

    if name not in _PRESETS:
        raise UsageError(
            f"preset {name!r} is unknown: expected {', '.join(PRESETS)}",
            nearest(name, PRESETS) or "type full",
        )
    return replace(_PRESETS[name](dim, signal), **{k: v for k, v in changes.items() if v is not None})
