"""The encoder ``run:PATH``: a pair that lpcm-train trained, on top of the towers that it was trained on.

Towers that learnt with their heads are given the weights that were kept with the pair. Refuses towers that are not
those of the training, or that it did not start from: heads on other features mean nothing. Building it and asking for
its digest import no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lpcm.encoders.towers import inference
from lpcm.errors import DataError, UsageError
from lpcm.plugin.contracts import Canary, Encoder, EncoderOptions, Preprocess, StoredFeatures
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Modality
from lpcm.plugin.trainable import Trainable, TrainableTower
from lpcm.store.digest import digest_of
from lpcm.train.checkpoint import PAIR, read_about

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from lpcm.train.heads import Pair

_SCHEME = 1
"""Raised when code here changes the features that the same file gives."""


class TrainedEncoder:
    """Heads on towers: (n, d) in the space of their geometry.

    Args:
        options: ``argument`` is the folder of a training, or its ``pair.safetensors``.

    Raises:
        UsageError: when weights are given.
        MissingError: when there is no such file.
        DataError: when it is no pair, or the towers have changed since.
    """

    canary: Canary | None = None

    def __init__(self, options: EncoderOptions) -> None:
        if options.weights is not None:
            raise UsageError(
                f"encoder 'run' reads its own weights: given --weights {options.weights}",
                "leave --weights out",
            )
        path = Path(options.argument).expanduser()
        self._path = path / PAIR if path.is_dir() else path
        self._about = read_about(self._path)
        self._options = options
        # By the folder: pair.safetensors says nothing.
        self.name = f"run:{(path if path.is_dir() else path.parent).resolve().name}"
        host = options.host or PluginHost.discover()
        self._image_tower = self._tower("encoder", host)
        own = self._about["text_encoder"] == self._about["encoder"]
        self._text_tower = self._image_tower if own else self._tower("text_encoder", host)
        self._host = host
        self.dim = int(self._about["image"]["dim"])
        self.modalities = frozenset(Modality)
        geometry = self._about["geometry"]
        self.unit_norm = (
            geometry["name"] == "sphere" and geometry["settings"].get("extent", "fixed") == "fixed"
        )
        self.preprocess: Preprocess | None = self._image_tower.preprocess
        self.precision = options.precision

    def digest(self) -> str:
        """Hex digest of the heads, of what both towers started from, and of what they learnt."""
        return digest_of(
            {
                "encoder": "run",
                "scheme": _SCHEME,
                "heads": self.weights_digest(),
                "towers": [self._image_tower.digest(), self._text_tower.digest()],
            }
        )

    def weights_digest(self) -> str:
        """Hex digest of the file of the heads and of the towers that learnt."""
        return self._options.files.digest(self._path)

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Encode preprocessed images, (n, 3, size, size) float32 -> (n, d) float32."""
        if Modality.IMAGE not in self._learnt:
            return self._placed(self._pair.images, self._image_tower.encode_images(images))
        return self._placed(self._pair.images, images, through=self._pair.towers[Modality.IMAGE.value])

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Encode texts in the space of the images: n strings -> (n, d) float32."""
        tokenise = self._learnt[Modality.TEXT].tokenise if Modality.TEXT in self._learnt else None
        if tokenise is None:
            return self._placed(self._pair.texts, self._text_tower.encode_texts(texts))
        return self._placed(self._pair.texts, tokenise(texts), through=self._pair.towers[Modality.TEXT.value])

    def _placed(
        self, head: torch.nn.Module, features: torch.Tensor, through: torch.nn.Module | None = None
    ) -> torch.Tensor:
        with inference(self._options.device):
            if through is not None:
                features = through(features)
            placed: torch.Tensor = head(features.float().to(self._options.device))
        return placed

    @cached_property
    def _learnt(self) -> dict[Modality, TrainableTower]:
        import torch

        towers = {Modality.IMAGE: self._image_tower, Modality.TEXT: self._text_tower}
        with torch.inference_mode(False):
            return {
                side: cast(Trainable, towers[side]).trainable(side)
                for side in map(Modality, self._about.get("towers", ()))
            }

    def _tower(self, role: str, host: PluginHost) -> Encoder:
        from lpcm.train.assemble import find_encoder

        told = self._about[role]
        tower = find_encoder(told["name"], host, replace(self._options, argument=""))
        # In another precision a digest is another one; the heads bear it as well as the tower does.
        trained_in_this = find_encoder(
            told["name"], host, EncoderOptions(files=self._options.files, offline=True, host=host)
        )
        if trained_in_this.digest() != told["digest"]:
            raise DataError(
                f"{self._path} was trained on another version of {told['name']!r}: "
                f"its digest was {told['digest'][:12]} and is {trained_in_this.digest()[:12]}",
                "train it again on this one: lpcm-train",
            )
        return tower

    @cached_property
    def _pair(self) -> Pair:
        import torch

        from lpcm.train.assemble import make_geometry
        from lpcm.train.restored import restored

        with torch.inference_mode(False):
            pair, _ = restored(
                self._path,
                lambda name, dim, settings: make_geometry(self._host, name, dim, settings),
                {side.value: tower.module for side, tower in self._learnt.items()},
            )
            return pair.to(self._options.device)


class TrainedOnStored(TrainedEncoder):
    """The same on features that were computed elsewhere and are looked up by sample id."""

    def lookup(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Rows of the named samples, (n, d) float32. Raises ``DataError`` that names ids that are not there."""
        import torch

        rows = torch.from_numpy(cast(Any, self._image_tower).lookup(ids))
        placed: NDArray[np.float32] = self._placed(self._pair.images, rows).cpu().numpy()
        return placed


def trained(options: EncoderOptions) -> TrainedEncoder:
    """Build the encoder of a training; weights are read at its first use."""
    encoder = TrainedEncoder(options)
    return TrainedOnStored(options) if isinstance(encoder._image_tower, StoredFeatures) else encoder
