"""Where the features of one side of the pairs come from, batch by batch: kept ones, or a tower that is learning.

Images are decoded anew for each pass by the loader that extraction uses, and held as bytes: normalised pixels are in
memory for a chunk at a time, like the tower's graph (``lpcm.train.gradient_cache``). Refuses an image that can no
longer be read: the pairs were counted when it could.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lpcm.encoders.decode import Decoded, decode_all, default_workers
from lpcm.encoders.extract import Normaliser
from lpcm.encoders.preprocess import Transform
from lpcm.errors import DataError
from lpcm.plugin.contracts import ImageSource, Preprocess, Sample
from lpcm.plugin.records import Modality
from lpcm.train.gradient_cache import GradientCached
from lpcm.train.heads import Pair
from lpcm.train.pairs import Pairs
from lpcm.train.recipe import Recipe

Told = Callable[[int, int], None]
"""Told of images that were read: done, total."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What towers that learn read, row by row of a set of pairs.

    Args:
        images: (n,) samples; ``None`` for a frozen tower.
        preprocess: of the images.
        tokens: (m, ...) of the texts; ``None`` for a frozen tower.
    """

    images: Sequence[Sample] | None = None
    preprocess: Preprocess | None = None
    tokens: torch.Tensor | None = None


class Side(Protocol):
    """Features of one side."""

    def stream(
        self, plan: Sequence[NDArray[np.int64]], told: Told = ...
    ) -> Generator[torch.Tensor, None, None]:
        """Features of the rows of each batch in turn, (b, d) float32, by the weights at the time of asking."""
        ...


class FrozenSide:
    """Features that were computed once.

    Args:
        features: (n, d) float32.
        device: that batches are put on.
    """

    def __init__(self, features: NDArray[np.float32], device: torch.device) -> None:
        self._features = torch.from_numpy(features)
        self._device = device

    def stream(
        self, plan: Sequence[NDArray[np.int64]], told: Told = lambda done, total: None
    ) -> Generator[torch.Tensor, None, None]:
        """Rows of the features."""
        for rows in plan:
            yield self._features[torch.from_numpy(rows)].to(self._device)


class LearningTexts:
    """A tower of texts that learns.

    Args:
        tower: tokens -> features.
        tokens: (m, ...) of the texts.
    """

    def __init__(self, tower: nn.Module, tokens: torch.Tensor) -> None:
        self._tower, self._tokens = tower, tokens

    def stream(
        self, plan: Sequence[NDArray[np.int64]], told: Told = lambda done, total: None
    ) -> Generator[torch.Tensor, None, None]:
        """Features by the weights as they are."""
        for rows in plan:
            yield self._tower(self._tokens[torch.from_numpy(rows)])


class LearningImages:
    """A tower of images that learns.

    Args:
        tower: (b, size, size, 3) uint8 -> features.
        samples: (n,) of the images.
        transform: of the tower.
        chunk: images that a decoding process is given at once.
    """

    def __init__(self, tower: nn.Module, samples: Sequence[Sample], transform: Transform, chunk: int) -> None:
        self._tower, self._samples, self._transform, self._chunk = tower, samples, transform, chunk

    def stream(
        self, plan: Sequence[NDArray[np.int64]], told: Told = lambda done, total: None
    ) -> Generator[torch.Tensor, None, None]:
        """Features by the weights as they are; images are decoded ahead."""
        done, total = 0, sum(map(len, plan))
        parts = [_cut(rows, self._chunk) for rows in plan]
        sources = ([self._source(row) for row in part.tolist()] for batch in parts for part in batch)
        with closing(decode_all(self._transform, sources, default_workers(total))) as decoded:
            for batch in parts:
                size = self._transform.record.size
                pixels = np.empty((sum(map(len, batch)), size, size, 3), np.uint8)
                start = 0
                for part in batch:
                    pixels[start : start + len(part)] = self._whole(next(decoded), part)
                    start += len(part)
                    told(done + start, total)
                done += start
                yield self._tower(torch.from_numpy(pixels))

    def _source(self, row: int) -> ImageSource:
        source = self._samples[row].image
        assert source is not None  # its features were extracted
        return source

    def _whole(self, decoded: Decoded, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        if decoded.failures:
            worst = decoded.failures[0]
            raise DataError(
                f"image {self._samples[rows[worst.row]].id!r} cannot be read any more: {worst.reason}",
                "put it back and type the same command again: it goes on from the last epoch that was kept",
            )
        return decoded.pixels


def sides_of(
    pair: Pair, pairs: Pairs, inputs: Inputs, recipe: Recipe, *, exact: bool = False
) -> tuple[Side, Side]:
    """The sides of images and of texts.

    Args:
        pair: whose towers learn.
        pairs: features of the towers that do not.
        inputs: of those that do, row by row of ``pairs``.
        recipe: its chunk and precision.
        exact: in fp32 in any case, as the encoder that comes out of it is asked by default.
    """
    device = pair.log_scale.device
    half = recipe.precision == "bf16" and not exact
    images: Side = FrozenSide(pairs.images, device)
    texts: Side = FrozenSide(pairs.texts, device)
    if inputs.images is not None and inputs.preprocess is not None:
        transform = Transform(inputs.preprocess)
        module = pair.towers[Modality.IMAGE.value]
        tower = _Arithmetic(module, device, half, Normaliser(transform, device))
        images = LearningImages(GradientCached(tower, recipe.chunk), inputs.images, transform, recipe.chunk)
    if inputs.tokens is not None:
        tower = _Arithmetic(pair.towers[Modality.TEXT.value], device, half)
        texts = LearningTexts(GradientCached(tower, recipe.chunk), inputs.tokens)
    return images, texts


@torch.no_grad()
def features_now(
    pair: Pair, pairs: Pairs, inputs: Inputs, recipe: Recipe, told: Told = lambda done, total: None
) -> Pairs:
    """The same pairs with the features that their towers give now.

    Raises:
        DataError: when they are not finite, or an image cannot be read any more.
    """
    images, texts = sides_of(pair, pairs, inputs, recipe, exact=True)

    def all_of(side: Side, n: int) -> NDArray[np.float32]:
        parts = list(side.stream(_cut(np.arange(n), recipe.chunk), told))
        return torch.cat(parts).cpu().numpy()

    if inputs.images is not None:
        pairs = replace(pairs, images=all_of(images, len(pairs.images)))
    if inputs.tokens is not None:
        pairs = replace(pairs, texts=all_of(texts, len(pairs.texts)))
    return pairs


class _Arithmetic(nn.Module):
    """A tower under the recipe's arithmetic; not a part of the pair, whose names it would change."""

    def __init__(
        self, module: nn.Module, device: torch.device, half: bool, normalise: Normaliser | None = None
    ) -> None:
        super().__init__()
        self._module, self._device, self._half, self._normalise = module, device, half, normalise

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        ready: Any = inputs if self._normalise is None else self._normalise(inputs)
        # No cache of casts: it would hold those of the pass without a graph.
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half, cache_enabled=False):
            features: torch.Tensor = self._module(ready)
        return features.float()


def _cut(rows: NDArray[np.int64], chunk: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + chunk] for start in range(0, len(rows), chunk)]
