"""A trained pair read back from its file. Refuses to guess its geometry: the file names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.plugin.contracts import Geometry
from lpcm.train.checkpoint import read
from lpcm.train.heads import Pair, Shape, make_pair
from lpcm.train.recipe import HeadKind

MakeGeometry = Callable[[str, int, Mapping[str, Any]], Geometry]
"""Name, dimension, settings -> the geometry."""


def told_shape(shape: Shape) -> dict[str, Any]:
    """A shape as JSON values."""
    return {**asdict(shape), "kind": shape.kind.value}


def restored(
    path: Path, geometry: MakeGeometry, towers: Mapping[str, nn.Module] | None = None
) -> tuple[Pair, dict[str, Any]]:
    """The pair of a file, frozen, and what the file says of it.

    Args:
        path: of the file.
        geometry: makes the space that the file names.
        towers: the modules that were trained with the heads, by ``image`` and ``text``; they are given the weights.

    Raises:
        MissingError: when the file is not there.
        DataError: when it is no checkpoint, or its tensors do not fit what it says.
    """
    tensors, about = read(path)
    try:
        shapes = [
            Shape(**{**about[side], "kind": HeadKind(about[side]["kind"])}) for side in ("image", "text")
        ]
        space = geometry(about["geometry"]["name"], shapes[0].dim, about["geometry"]["settings"])
        recipe = about["recipe"]
        pair = make_pair(
            shapes[0], shapes[1], space, recipe.get("temperature"), recipe["max_scale"], Key.of(0)
        )
        pair.towers.update(dict(towers or {}))
        pair.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path} is not a pair that this version can read: {error}") from error
    return pair.eval().requires_grad_(False), about
