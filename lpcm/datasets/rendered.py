"""``rendered:COUNT``: pictures of one object with eight known, independent factors. Needs no file at all.

It is drawn when it is read (``lpcm.datasets.scene``). Behind the count, separated by commas, variants:

    without=hue          the factor has one value in all pictures, and is not in the table of factors
    hidden=hue           the factor varies as before, and is not in the table of factors
    tied=size+brightness the second follows the first, so that one of them is redundant; both are in the table

Several names are joined by ``+`` (``without=hue+texture``). Refuses to drop or tie ``shape``: it is the label.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

from lpcm.datasets.factored import FactoredDataset, FactorListing, make_factors
from lpcm.datasets.folder import SPLIT_KEY
from lpcm.datasets.scene import SHAPES, TEXTURES, Scene
from lpcm.datasets.splits import split_by_key
from lpcm.errors import UsageError, nearest
from lpcm.keys import Key
from lpcm.plugin.contracts import DatasetOptions, Sample
from lpcm.plugin.truth import FactorKind

COUNT = 2000
"""Pictures when no count is given."""
FEWEST, MOST = 3 * len(SHAPES), 1_000_000

_KEY = Key.of(0).fold("dataset-rendered", 1)
_USAGE = "Type for example rendered:2000 or rendered:2000,without=hue+texture,tied=size+brightness"


@dataclass(frozen=True)
class Quantity:
    """A factor and what it is drawn from, uniformly.

    Args:
        name: also of the field of ``Scene``.
        kind: what arithmetic makes sense.
        low, high: its range; of a categorical one, 0 and the number of values.
        usual: its place in that range, from 0 to 1, in a study that goes without it.
    """

    name: str
    kind: FactorKind
    low: float
    high: float
    usual: float = 0.5

    def at(self, share: float) -> float:
        """The value at a share in [0, 1) of the range."""
        value = self.low + (self.high - self.low) * share
        return float(math.floor(value)) if self.kind is FactorKind.CATEGORICAL else value


QUANTITIES = (
    Quantity("shape", FactorKind.CATEGORICAL, 0, len(SHAPES)),
    Quantity("hue", FactorKind.ANGLE, 0, math.tau, usual=0),
    Quantity("size", FactorKind.CONTINUOUS, 0.10, 0.18),
    Quantity("x", FactorKind.CONTINUOUS, 0.34, 0.66),
    Quantity("y", FactorKind.CONTINUOUS, 0.34, 0.66),
    Quantity("rotation", FactorKind.ANGLE, 0, math.tau, usual=0),
    Quantity("brightness", FactorKind.CONTINUOUS, 0.2, 0.6),
    Quantity("texture", FactorKind.CATEGORICAL, 0, len(TEXTURES), usual=0),
)
_NAMES = tuple(quantity.name for quantity in QUANTITIES)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What was asked for.

    Args:
        count: pictures in all splits.
        without: factors with one value.
        hidden: factors that vary and are not told.
        tied: pairs (leader, follower).
    """

    count: int = COUNT
    without: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    tied: tuple[tuple[str, str], ...] = ()

    def values(self, number: int) -> dict[str, float]:
        """The factors of the picture with this number.

        They follow from the number alone: a larger set holds the smaller ones. Shapes take turns, so that
        classes are of one size to within one.
        """
        # A hash, not a generator: numpy may change its streams, and these pictures must stay the same.
        name = number.to_bytes(8, "big")
        drawn = struct.unpack(">8Q", hashlib.blake2b(name, key=_KEY.state, digest_size=64).digest())
        share = {q.name: (bits >> 11) / 2**53 for q, bits in zip(QUANTITIES, drawn, strict=True)}
        share["shape"] = (number % len(SHAPES) + 0.5) / len(SHAPES)
        for leader, follower in self.tied:
            share[follower] = share[leader]
        for quantity in QUANTITIES:
            if quantity.name in self.without:
                share[quantity.name] = quantity.usual
        return {q.name: q.at(share[q.name]) for q in QUANTITIES}

    def told(self) -> tuple[Quantity, ...]:
        """The factors that are in the table."""
        return tuple(q for q in QUANTITIES if q.name not in self.without + self.hidden)


class Rendered(FactoredDataset):
    """Pictures of one object; label: its shape.

    Args:
        options: ``argument`` is the count and the variants; empty for 2,000 pictures with all factors.

    Raises:
        UsageError: for a count or a variant that cannot be.
    """

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(
            f"rendered:{options.argument}" if options.argument else "rendered",
            options.files,
            templates=("a picture of a {}.", "a coloured {} on a grey background."),
            licence="CC0-1.0",
        )
        self.variant = read_variant(options.argument)

    def _list(self) -> FactorListing:
        import numpy as np

        variant = self.variant
        tables = [variant.values(number) for number in range(variant.count)]
        samples = [_sample(number, values) for number, values in enumerate(tables)]
        rows = split_by_key([s.id for s in samples], [SHAPES[s.label] for s in samples], SPLIT_KEY)
        told = variant.told()
        values = np.array([[table[q.name] for q in told] for table in tables])
        names, kinds = [q.name for q in told], [q.kind for q in told]
        return FactorListing(
            classes=SHAPES,
            samples={split: tuple(samples[row] for row in chosen) for split, chosen in rows.items()},
            factors={split: make_factors(names, kinds, values[chosen]) for split, chosen in rows.items()},
            notes=_notes(variant),
        )


def read_variant(argument: str) -> Variant:
    """What is meant by the text behind ``rendered:``.

    Raises:
        UsageError: naming the part that cannot be.

    Example:
        >>> read_variant("100,without=hue").without
        ('hue',)
    """
    count = COUNT
    asked: dict[str, list[str]] = {"without": [], "hidden": []}
    tied: list[tuple[str, str]] = []
    for place, part in enumerate(argument.split(",") if argument else []):
        name, given, text = part.partition("=")
        if not given and place == 0:
            count = _read_count(part)
        elif name == "tied" and given:
            factors = _read_factors(part, text)
            if len(factors) != 2:
                raise UsageError(f"{part!r} names {len(factors)} factors: expected two, tied=size+x", _USAGE)
            tied.append((factors[0], factors[1]))
        elif name in asked and given:
            asked[name] += _read_factors(part, text)
        else:
            raise UsageError(
                f"{part!r} in rendered:{argument}: expected a count first, then without=, hidden= or tied=",
                nearest(name, [*asked, "tied"]) or _USAGE,
            )
    if "shape" in asked["without"] or "shape" in [follower for _, follower in tied]:
        raise UsageError(
            f"shape is the label of rendered:{argument}: it can neither be left out nor follow",
            "Type hidden=shape to leave it out of the table of factors, or let another one follow it.",
        )
    used = asked["without"] + asked["hidden"] + [factor for pair in tied for factor in pair]
    twice = sorted({name for name in used if used.count(name) > 1})
    if twice:
        raise UsageError(
            f"{twice[0]} is named twice in rendered:{argument}: expected each factor once", _USAGE
        )
    return Variant(
        count=count, without=tuple(asked["without"]), hidden=tuple(asked["hidden"]), tied=tuple(tied)
    )


def _read_count(text: str) -> int:
    if not text.isdecimal() or not FEWEST <= int(text) <= MOST:
        raise UsageError(f"rendered:{text}: expected a count from {FEWEST} to {MOST:,}", _USAGE)
    return int(text)


def _read_factors(part: str, text: str) -> list[str]:
    names = text.split("+")
    for name in names:
        if name not in _NAMES:
            raise UsageError(
                f"{part!r} names {name!r}: factors are {', '.join(_NAMES)}", nearest(name, _NAMES)
            )
    return names


def _sample(number: int, values: dict[str, float]) -> Sample:
    scene = Scene(
        shape=SHAPES[int(values["shape"])],
        hue=values["hue"],
        size=values["size"],
        x=values["x"],
        y=values["y"],
        rotation=values["rotation"],
        brightness=values["brightness"],
        texture=TEXTURES[int(values["texture"])],
    )
    return Sample(f"{number:06d}", scene, int(values["shape"]), captions=(scene.caption(),))


def _notes(variant: Variant) -> tuple[str, ...]:
    notes = ["drawn pictures, split by key: about 50 % train, 20 % val, 30 % test of each shape"]
    if variant.without:
        notes.append(f"without {', '.join(variant.without)}: one value in all pictures")
    if variant.hidden:
        notes.append(f"hidden {', '.join(variant.hidden)}: varies, and is not in the table of factors")
    notes += [f"{follower} follows {leader}: one of them is redundant" for leader, follower in variant.tied]
    return tuple(notes)
