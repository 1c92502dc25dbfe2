"""An image encoder without weights: mean colours and edge directions of a grid of cells, projected to 128 numbers.

Replace `_describe` with a network of your own; the rest shows what lpcm wants to know about it.
torch is imported inside the methods: building the encoder and asking for its digest must not need it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

from lpcm.errors import UsageError
from lpcm.plugin import Canary, EncoderOptions, Modality, Precision, Preprocess, Resize
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    import torch

SCHEME = 1
"""Raise this when the code below gives other features than before."""

GRID, DIRECTIONS = 4, 8
SIDE = 32


class HistogramEncoder:
    """Images (n, 3, 32, 32) to unit vectors (n, 128).

    Args:
        options: what the user asked for: device, precision, files.

    Raises:
        UsageError: when weights are given: there are none.
    """

    name = "{{name}}"
    dim = 128
    modalities = frozenset({Modality.IMAGE})
    unit_norm = True

    def __init__(self, options: EncoderOptions) -> None:
        if options.weights is not None:
            raise UsageError(
                f"encoder {self.name!r} has no weights: given --weights {options.weights}"
            )
        self.device = options.device
        self.precision = options.precision
        self.preprocess = Preprocess(
            size=SIDE, resize=Resize.SQUASH, interpolation="bicubic"
        )
        self.canary = _recorded_canary()

    def digest(self) -> str:
        """Move with everything that decides the features; with weights, add `options.files.digest(path)`."""
        return digest_of(
            {
                "encoder": self.name,
                "scheme": SCHEME,
                "preprocess": self.preprocess,
                "precision": self.precision,
                "shape": (GRID, DIRECTIONS, self.dim),
            }
        )

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Unit vectors of preprocessed images: (n, 3, 32, 32) float32 -> (n, 128) float32."""
        import torch

        with torch.inference_mode():
            described = self._describe(images.to(self.device, self._dtype))
            features = (described @ self._projection).float()
            return torch.nn.functional.normalize(features, dim=1).cpu()

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Refuse: this encoder reads no text."""
        raise UsageError(
            f"encoder {self.name!r} reads no text",
            "choose another: lpcm-eval ls encoders",
        )

    def _describe(self, images: torch.Tensor) -> torch.Tensor:
        """Mean colour and weight of each edge direction in each cell: (n, 16 * (3 + 8))."""
        import torch

        grey = images.mean(dim=1)
        # Differences of neighbours on both sides, the border left out and put back as zeros.
        dx = torch.zeros_like(grey)
        dy = torch.zeros_like(grey)
        dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
        dy[:, 1:-1, :] = grey[:, 2:, :] - grey[:, :-2, :]
        maps = [images - 0.5]
        for step in range(DIRECTIONS):
            angle = 2 * math.pi * step / DIRECTIONS
            # How far the gradient points this way: no angle is computed, so nothing jumps at its seam.
            maps.append(
                (dx * math.cos(angle) + dy * math.sin(angle)).clamp(min=0)[:, None]
            )
        n, side = len(images), SIDE // GRID
        cells = (
            torch.cat(maps, dim=1)
            .reshape(n, -1, GRID, side, GRID, side)
            .mean(dim=(3, 5))
        )
        # A constant for each image, so that a flat grey picture still has a direction.
        return torch.cat(
            [
                cells.reshape(n, -1),
                torch.ones(n, 1, dtype=cells.dtype, device=cells.device),
            ],
            dim=1,
        )

    @cached_property
    def _projection(self) -> torch.Tensor:
        """Fixed signs, (177, 128). From a hash: a generator's stream may change between versions."""
        import torch

        rows = GRID * GRID * (3 + DIRECTIONS) + 1
        stream = hashlib.shake_256(f"projection {SCHEME}".encode()).digest(
            rows * self.dim
        )
        signs = torch.tensor([1.0 if byte & 1 else -1.0 for byte in stream])
        return (signs.reshape(rows, self.dim) / math.sqrt(self.dim)).to(
            self.device, self._dtype
        )

    @property
    def _dtype(self) -> torch.dtype:
        import torch

        return {
            Precision.FP32: torch.float32,
            Precision.BF16: torch.bfloat16,
            Precision.FP16: torch.float16,
        }[self.precision]


def _recorded_canary() -> Canary:
    """Answers to the probes as they should be; see the README for how to record them."""
    saved = json.loads(
        files(__package__).joinpath("canary.json").read_text(encoding="utf-8")
    )
    return Canary(
        values={Modality(name): tuple(numbers) for name, numbers in saved.items()}
    )
