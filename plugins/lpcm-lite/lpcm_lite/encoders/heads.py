"""The encoders `lite0-heads` and `lite0-mix`: heads trained on drawings, alone and beside ConSE. Refuse other weights.

Both read what `lite0` reads. `lite0-heads` puts EfficientNet's pooled features and MiniLM's texts through heads that
``python -m lpcm_lite.train_heads`` trained; see ``heads.md`` for what with. `lite0-mix` sets them beside ConSE's
vectors, so that its cosine is the mean of both cosines: drawings from one, photographs from the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpcm.errors import DataError
from lpcm.plugin.contracts import EncoderOptions
from lpcm.store.digest import digest_of
from lpcm_lite.encoders import conse
from lpcm_lite.encoders.towers import Lite0

if TYPE_CHECKING:
    import torch

    from lpcm.geometries.sphere import Sphere
    from lpcm.plugin.tuner import PromptTuner
    from lpcm.train.heads import Pair

HEADS = "heads.safetensors"

HEADS_SHA256 = "91a34ff54492da44b04f91f902a0584f1558bec9d98ed1c3aceaaff5ae311dc9"
"""Of the packaged heads. The command that makes them prints it."""


class Lite0Heads(Lite0):
    """EfficientNet-Lite0 and MiniLM through heads trained on emoji and icons: (n, 384) unit vectors of both.

    Args:
        options: of the user.

    Raises:
        UsageError: when an argument or a weights file was given.
    """

    name = "lite0-heads"

    def weights_digest(self) -> str:
        """Hex digest of the weights of both towers and of the heads."""
        return digest_of([super().weights_digest(), self._options.files.digest(self._verified())])

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images as unit vectors beside texts: (n, 3, 224, 224) float32 -> (n, 384) float32."""
        return self._placed(self._pair.images, self._images.features(images))

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Encode texts as unit vectors, cut at 256 word pieces: n strings -> (n, 384) float32."""
        return self._placed(self._pair.texts, self._texts.features(texts))

    def prompt_tuner(self) -> PromptTuner:
        """MiniLM and the head on it as a function of the words before a class name."""
        return HeadedTuner(super().prompt_tuner(), self._headed)

    def _headed(self, texts: torch.Tensor) -> torch.Tensor:
        """(c, 384) of MiniLM -> (c, d), differentiable."""
        placed: torch.Tensor = self._pair.texts(texts)
        return placed

    def _placed(self, head: torch.nn.Module, features: torch.Tensor) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            placed: torch.Tensor = head(features.float().to(self._options.device))
        return placed

    def _verified(self) -> Path:
        path = heads_file()
        found = self._options.files.digest(path)
        if found != HEADS_SHA256:
            raise DataError(
                f"{path} has SHA-256 {found}: expected {HEADS_SHA256}",
                "Install it again: pip install --force-reinstall --no-deps lpcm-lite",
            )
        return path

    @cached_property
    def _pair(self) -> Pair:
        import torch

        from lpcm.train.restored import restored

        with torch.inference_mode(False):
            pair, _ = restored(self._verified(), _sphere)
            return pair.to(self._options.device)


class Lite0Mix(Lite0Heads):
    """The heads and ConSE side by side, (n, 768) unit vectors: a cosine is the mean of `lite0-heads`' and `lite0`'s.

    Args:
        options: of the user.
    """

    name = "lite0-mix"
    dim = 768

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images as unit vectors beside texts: (n, 3, 224, 224) float32 -> (n, 768) float32."""
        raw = self._images.features(images)
        mixed = conse.mix(self._images.logits(raw), self._class_vectors)
        return _beside(self._placed(self._pair.images, raw), mixed)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Encode texts as unit vectors, cut at 256 word pieces: n strings -> (n, 768) float32."""
        rows = self._texts.features(texts)
        return _beside(self._placed(self._pair.texts, rows), rows.to(self._options.device))

    def _headed(self, texts: torch.Tensor) -> torch.Tensor:
        return _beside(super()._headed(texts), texts)


class HeadedTuner:
    """A prompt tuner whose features go through a head; see ``lpcm.plugin.tuner.PromptTuner``.

    Args:
        tuner: of the tower.
        head: (c, w) -> (c, d) unit rows, differentiable.
    """

    def __init__(self, tuner: PromptTuner, head: Any) -> None:
        self._tuner, self._head = tuner, head
        self.width, self.device = tuner.width, tuner.device

    def context_of(self, phrase: str) -> torch.Tensor:
        """Word vectors of a phrase, without start and end: (m, w) float32, a copy."""
        return self._tuner.context_of(phrase)

    def encode(
        self, context: torch.Tensor, names: Sequence[str], *, before: int | None = None, ending: str = "."
    ) -> torch.Tensor:
        """(m, w) or (c, m, w) context and c names -> (c, d) unit features, differentiable in the context."""
        encoded: torch.Tensor = self._head(self._tuner.encode(context, names, before=before, ending=ending))
        return encoded


def lite0_heads(options: EncoderOptions) -> Lite0Heads:
    """Build the encoder of trained heads; weights are read at its first use."""
    return Lite0Heads(options)


def lite0_mix(options: EncoderOptions) -> Lite0Mix:
    """Build the encoder of heads beside ConSE; weights are read at its first use."""
    return Lite0Mix(options)


def heads_file() -> Path:
    """Where the packaged heads are."""
    return Path(str(resources("lpcm_lite").joinpath(HEADS)))


def _beside(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat([a, b.to(a.device)], dim=1) * math.sqrt(0.5)


def _sphere(name: str, dim: int, settings: Mapping[str, Any]) -> Sphere:
    from lpcm.geometries.sphere import Sphere

    return Sphere(dim, **settings)
