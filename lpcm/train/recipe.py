"""The recipe: what is to be trained and how, as one schema for flags and for TOML files. Resolves no name.

Every field is a flag of ``lpcm-train`` (``--weight-decay``) and a key of a file (``weight-decay``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from lpcm.errors import UsageError, nearest
from lpcm.plugin.records import Modality
from lpcm.study.schema import flag, settings, text

WHOLE_SET = "all"
"""A batch of every pair."""

AUTO = "auto"
"""A batch of ``USUAL_BATCH`` pairs, or of every pair where there are no more; 0 in a recipe."""

USUAL_BATCH = 1024


class HeadKind(str, Enum):
    """What is trained on top of a frozen tower."""

    LINEAR = "linear"
    MLP = "mlp"
    RESIDUAL = (
        "residual"  # a linear map, or the identity where widths are equal, plus an MLP that starts at zero
    )
    NONE = "none"  # nothing: the tower's own features


def _names(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(p, str) and p.strip() for p in parts):
        raise ValueError("expected names, separated by commas")
    return tuple(dict.fromkeys(p.strip() for p in parts))


def _modalities(value: Any) -> tuple[Modality, ...]:
    given = _names(value)
    for name in given:
        _one_of(*(modality.value for modality in Modality))(name)
    return tuple(modality for modality in Modality if modality.value in given)


def _whole(least: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ValueError(f"expected a whole number of {least} or more")
        return number

    return parse


def _real(least: float, below: float = math.inf, *, above: bool = False) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not least <= number < below or (above and number == least):
            low = f"above {least:g}" if above else f"of {least:g} or more"
            raise ValueError(
                f"expected a number {low}" + (f" and below {below:g}" if below < math.inf else "")
            )
        return number

    return parse


def _batch(value: Any) -> int | None:
    if value in (WHOLE_SET, AUTO):
        return None if value == WHOLE_SET else 0
    try:
        return _whole(2)(value)
    except ValueError:
        raise ValueError(f"expected a whole number of 2 or more, or {WHOLE_SET}") from None


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"expected {' or '.join(choices)}{_maybe(nearest(str(value), choices))}")
        return str(value)

    return parse


def _maybe(hint: str) -> str:
    return f"; {hint}" if hint else ""


def _head(value: Any) -> HeadKind:
    return HeadKind(_one_of(*(kind.value for kind in HeadKind))(value))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained: two towers, frozen or not, their heads, the space that they land in, and the schedule."""

    encoder: str = flag(text, "NAME", "tower of the images; see: lpcm-eval ls encoders", "")
    text_encoder: str | None = flag(text, "NAME", "tower of the texts (default: the encoder's own)")
    dataset: tuple[str, ...] = flag(_names, "NAMES", "sets of images with captions, separated by commas", ())
    head: HeadKind = flag(_head, "KIND", "on the images: linear, mlp, residual or none", HeadKind.MLP)
    text_head: HeadKind = flag(_head, "KIND", "on the texts (default: residual)", HeadKind.RESIDUAL)
    train_towers: tuple[Modality, ...] = flag(
        _modalities, "image,text", "towers that learn with their heads (default: none, both are frozen)", ()
    )
    tower_lr: float = flag(
        _real(0, above=True), "RATE", "highest learning rate of towers that learn (default: 0.00001)", 1e-5
    )
    chunk: int = flag(
        _whole(1), "N", "rows of a tower that learns that are in memory at once (default: 64)", 64
    )
    hidden: int = flag(_whole(1), "WIDTH", "of the inner layer of mlp and residual (default: 768)", 768)
    dim: int | None = flag(_whole(1), "WIDTH", "of the common space (default: that of the text tower)")
    geometry: str = flag(text, "NAME", "space that the heads land in (default: sphere)", "sphere")
    set: tuple[tuple[str, Any], ...] = flag(
        settings("box.extent=fixed"),
        "NAME.PARAM=VALUE",
        "change a setting of the geometry; may be repeated",
        (),
    )

    epochs: int = flag(_whole(1), "N", "passes over the pairs, at most (default: 20)", 20)
    batch: int | None = flag(
        _batch, "N|all|auto", "pairs a step; auto is 1024, or the whole set where it is no larger", 0
    )
    lr: float = flag(_real(0, above=True), "RATE", "highest learning rate, of AdamW (default: 0.001)", 1e-3)
    weight_decay: float = flag(_real(0), "X", "of AdamW (default: 0.05)", 0.05)
    warm_up: float = flag(
        _real(0, 1), "SHARE", "of the steps in which the rate rises from 0 (default: 0.1)", 0.1
    )
    patience: int = flag(
        _whole(0),
        "N",
        "epochs without a better validation retrieval before it stops; 0: never (default: 5)",
        5,
    )
    temperature: float | None = flag(
        _real(0, above=True),
        "T",
        "at the start; it is learnt (default: 0.07 for the dot product, 1 for distances)",
    )
    max_scale: float = flag(
        _real(1), "X", "bound of 1 / temperature, against running away (default: 100)", 100.0
    )
    label_smoothing: float = flag(_real(0, 1), "X", "of the loss (default: 0)", 0.0)
    noise: float = flag(
        _real(0), "X", "Gaussian noise on image features, in their deviations (default: 0)", 0.0
    )
    precision: str = flag(
        _one_of("fp32", "bf16"),
        "fp32|bf16",
        "products of the loss, of heads and of towers that learn",
        "fp32",
    )
    seed: int = flag(_whole(0), "N", "of weights and batches", 0)

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str) -> Recipe:
        """Build a recipe from raw values, of flags or of a file.

        Args:
            values: field names (dashes or underscores) to raw values.
            source: where they come from, for the error.

        Raises:
            UsageError: for an unknown field or a value that does not fit.
        """
        known = {f.name: f for f in fields(cls)}
        parsed: dict[str, Any] = {}
        for raw, value in values.items():
            name = raw.replace("-", "_")
            if name not in known:
                raise UsageError(
                    f"{source}: a recipe has no field {raw!r}",
                    nearest(name, known) or f"fields: {', '.join(n.replace('_', '-') for n in known)}",
                )
            try:
                parsed[name] = known[name].metadata["parse"](value)
            except ValueError as error:
                raise UsageError(f"{source}: {raw} is {value!r}: {error}") from None
        return cls(**parsed)

    def told(self) -> dict[str, Any]:
        """The recipe as JSON values; :meth:`parse` reads it back."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        values |= {"head": self.head.value, "text_head": self.text_head.value, "dataset": list(self.dataset)}
        values["batch"] = WHOLE_SET if self.batch is None else self.batch or AUTO
        values["set"] = dict(self.set)
        values["train_towers"] = [modality.value for modality in self.train_towers]
        if not self.train_towers:  # what then has no part in the training is not told
            for name in ("train_towers", "tower_lr", "chunk"):
                del values[name]
        return values

    def sized(self, pairs: int) -> Recipe:
        """The recipe with its batch settled for a set of so many pairs."""
        if self.batch != 0:
            return self
        return replace(self, batch=USUAL_BATCH if pairs > USUAL_BATCH else None)

    def geometry_settings(self) -> dict[str, Any]:
        """The settings of the geometry. Raises ``UsageError`` for those of anything else."""
        prefix = f"{self.geometry}."
        for name, _ in self.set:
            if not name.startswith(prefix):
                raise UsageError(
                    f"--set {name}: expected a setting of the geometry, {self.geometry!r}",
                    f"type {prefix}NAME",
                )
        return {name.removeprefix(prefix): value for name, value in self.set}


def load(path: Path) -> dict[str, Any]:
    """Raw values of a recipe file. Raises ``UsageError`` when it is not there or is no TOML."""
    from lpcm.study.spec import Study

    return Study.load(path)
