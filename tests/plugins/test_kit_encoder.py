"""Broken encoders are caught: a sound one with one fault each, and the check that names it; the others still pass."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lpcm.errors import UsageError
from lpcm.plugin.contracts import Canary, Preprocess, Resize
from lpcm.plugin.records import (
    EncoderRecord,
    Modality,
)
from lpcm.store.digest import digest_of

from .faults import failed

pytestmark = pytest.mark.usefixtures("generators_put_back")


class SoundEncoder:
    name, dim, unit_norm = "sound", 6, False
    modalities = frozenset({Modality.IMAGE})
    canary: Canary | None = None

    def __init__(self, options: Any) -> None:
        self.precision = options.precision
        self.preprocess = Preprocess(size=6, resize=Resize.SQUASH)

    def digest(self) -> str:
        return digest_of([self.preprocess, self.precision])

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=1)[:, 2]

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        raise UsageError("reads no text")


class OtherWidth(SoundEncoder):
    dim = 5


class BatchNorm(SoundEncoder):
    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        features = super().encode_images(images)
        return features - features.mean(dim=0) + 1


class HalfPrecisionOut(SoundEncoder):
    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return super().encode_images(images).double()


class NotANumber(SoundEncoder):
    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        features = super().encode_images(images).clone()
        features[:, 0] = torch.nan
        return features


class FalseUnitNorm(SoundEncoder):
    unit_norm = True


class HiddenUnitNorm(SoundEncoder):
    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(super().encode_images(images), dim=1)


class PrecisionBlind(SoundEncoder):
    def digest(self) -> str:
        return digest_of(self.preprocess)


class PreprocessBlind(SoundEncoder):
    def digest(self) -> str:
        return digest_of(self.precision)


class WeightsBlind(SoundEncoder):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        options.files.digest(Path(__file__))


class ShakyDigest(SoundEncoder):
    def digest(self) -> str:
        return digest_of([id(self), self.preprocess, self.precision])


class WrongCanary(SoundEncoder):
    canary = Canary(values={Modality.IMAGE: (1.0,) * 40})


class SilentText(SoundEncoder):
    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.zeros(len(texts), self.dim)


class InPlace(SoundEncoder):
    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return super().encode_images(images.mul_(1.5)) / 1.5


class Blind(SoundEncoder):
    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), self.dim), 2.0)


class Dropout(SoundEncoder):
    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return super().encode_images(images) + 1e-6 * torch.rand(len(images), self.dim)


class PhonesHome(SoundEncoder):
    def __init__(self, options: Any) -> None:
        super().__init__(options)
        with contextlib.suppress(OSError):  # it hides that it tried
            socket.create_connection(("127.0.0.1", 9), timeout=0.1)


ENCODER = EncoderRecord(name="sound", summary="s", loader="a:b", dim=6)


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (SoundEncoder, set()),
        # The canary's own fingerprint is not taken of what has none, so that each fault is named once.
        (OtherWidth, {"record_tells_the_truth", "image_features_have_the_declared_shape"}),
        (BatchNorm, {"images_do_not_depend_on_their_batch"}),
        (HalfPrecisionOut, {"image_features_have_the_declared_shape"}),
        (NotANumber, {"features_are_finite", "same_input_gives_the_same_features"}),
        (FalseUnitNorm, {"unit_norm_is_as_declared"}),
        (HiddenUnitNorm, {"unit_norm_is_as_declared"}),
        (PrecisionBlind, {"digest_moves_with_precision"}),
        (PreprocessBlind, {"digest_moves_with_preprocessing"}),
        (WeightsBlind, {"digest_moves_with_weights"}),
        (ShakyDigest, {"digest_is_stable"}),
        (WrongCanary, {"canary_matches"}),
        (SilentText, {"missing_modality_is_refused"}),
        (InPlace, {"inputs_are_left_alone"}),
        (Blind, {"different_inputs_give_different_features"}),
        (Dropout, {"same_input_gives_the_same_features", "leaves_global_generators_alone"}),
        (PhonesHome, {"opens_no_connection"}),
    ],
)
def test_a_broken_encoder_is_caught(broken: type, caught: set[str]) -> None:
    # NaN differs from NaN: no further harm is looked for once features are not numbers.
    found = failed(ENCODER, broken)
    if broken is NotANumber:
        assert caught <= found
    elif broken is InPlace:
        # It also spoils the pixels that other checks share.
        assert caught <= found
    else:
        assert found == caught
