"""Broken datasets are caught: a sound one with one fault each, and the check that names it; the others still pass."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lpcm.errors import DataError
from lpcm.plugin.contracts import Sample
from lpcm.plugin.records import (
    DatasetRecord,
)
from lpcm.plugin.truth import FactorKind, Factors
from lpcm.store.digest import digest_of

from .faults import failed

pytestmark = pytest.mark.usefixtures("generators_put_back")


@dataclass(frozen=True)
class Dot:
    place: int

    def open(self) -> Any:
        from PIL import Image

        image = Image.new("L", (7, 5))
        image.putpixel((self.place % 7, self.place // 7), 255)
        return image

    def fingerprint(self, files: Any) -> str:
        return digest_of(self.place)


class SoundDataset:
    name, licence = "sound", "CC0-1.0"
    classes, domains = ("cat", "dog"), ("photo", "drawing")
    templates = ("a photo of a {}.",)
    splits = ("train", "test")

    def __init__(self, options: Any) -> None:
        self.files = options.files

    def samples(self, split: str) -> Sequence[Sample]:
        if split not in self.splits:
            raise DataError(f"no split {split!r}")
        first = 10 * self.splits.index(split)
        return [self.sample(split, first + i) for i in range(6)]

    def sample(self, split: str, i: int) -> Sample:
        return Sample(f"{split}/{i}", Dot(i), i % 2, self.domains[i % 2])

    def digest(self) -> str:
        return digest_of([[s.id, s.label, s.image.place] for t in self.splits for s in self.samples(t)])  # type: ignore[union-attr]


class OneClassTooMany(SoundDataset):
    def sample(self, split: str, i: int) -> Sample:
        return replace(super().sample(split, i), label=i % 3)


class SharedSample(SoundDataset):
    def sample(self, split: str, i: int) -> Sample:
        return super().sample("all", i % 10)


class NewIds(SoundDataset):
    def sample(self, split: str, i: int) -> Sample:
        return replace(super().sample(split, i), id=f"{split}/{i}/{random.Random().random()}")

    def digest(self) -> str:
        return digest_of("fixed")


class ForeignDomain(SoundDataset):
    def sample(self, split: str, i: int) -> Sample:
        return replace(super().sample(split, i), domain="sketch")


class NoPlaceForTheName(SoundDataset):
    templates = ("a photo of a cat.",)


class EverySplit(SoundDataset):
    def samples(self, split: str) -> Sequence[Sample]:
        return super().samples(split if split in self.splits else "train")


class WrongCount(SoundDataset):
    splits = ("train",)


@dataclass(frozen=True)
class FlatDot(Dot):
    def fingerprint(self, files: Any) -> str:
        return digest_of("dot")


class SameFingerprint(SoundDataset):
    def sample(self, split: str, i: int) -> Sample:
        return replace(super().sample(split, i), image=FlatDot(i))


class OpenFile(Dot):
    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle an open file")


class NotForWorkers(SoundDataset):
    def sample(self, split: str, i: int) -> Sample:
        return replace(super().sample(split, i), image=OpenFile(i))


@dataclass(frozen=True)
class FatDot(Dot):
    pixels: bytes = bytes(2 << 20)


class HoldsPixels(SoundDataset):
    def sample(self, split: str, i: int) -> Sample:
        return replace(super().sample(split, i), image=FatDot(i))


class IgnoresItsFiles(SoundDataset):
    def digest(self) -> str:
        self.files.digest(Path(__file__))
        return super().digest()


class WithFactors(SoundDataset):
    """Sound, with a category, a number and an angle for each sample."""

    names, kinds = (
        ("shape", "size", "turn"),
        (FactorKind.CATEGORICAL, FactorKind.CONTINUOUS, FactorKind.ANGLE),
    )

    def values(self, split: str) -> Any:
        import numpy as np

        n = len(self.samples(split))
        return np.stack([np.arange(n) % 2, np.arange(n) / 7, np.arange(n) / 2], axis=1).astype(np.float64)

    def factors(self, split: str) -> Factors:
        return Factors(self.names, self.kinds, self.values(split))


class OneRowTooFew(WithFactors):
    def values(self, split: str) -> Any:
        return super().values(split)[1:]


class NotANumber(WithFactors):
    def values(self, split: str) -> Any:
        values = super().values(split)
        values[2, 1] = float("nan")
        return values


class SmallFloats(WithFactors):
    def values(self, split: str) -> Any:
        return super().values(split).astype("float32")


class OtherFactors(WithFactors):
    def factors(self, split: str) -> Factors:
        return Factors(("shape", "size", split), self.kinds, self.values(split))


class RestlessFactors(WithFactors):
    def values(self, split: str) -> Any:
        values = super().values(split)
        values[:, 1] += random.Random().random()
        return values


class Degrees(WithFactors):
    def values(self, split: str) -> Any:
        return super().values(split) * [1, 1, 60]


class HalfCategories(WithFactors):
    def values(self, split: str) -> Any:
        return super().values(split) / [2, 1, 1]


class StillFactor(WithFactors):
    def values(self, split: str) -> Any:
        return super().values(split) * [0, 1, 1]


class AllowedTooFew(SoundDataset):
    domain_classes = {"drawing": (0,)}


class AllowedUnknown(SoundDataset):
    domain_classes = {"sketch": (0, 1), "photo": (0, 1)}


class AllowedBeyond(SoundDataset):
    domain_classes = {"photo": (0, 2)}


class OneClass(SoundDataset):
    classes = ("thing",)

    def sample(self, split: str, i: int) -> Sample:
        return replace(super().sample(split, i), label=0)


class OneClassWithCaptions(OneClass):
    def sample(self, split: str, i: int) -> Sample:
        return replace(super().sample(split, i), captions=(f"dot {i}",))


DATASET = DatasetRecord(name="sound", summary="s", loader="a:b", classes=2, images=12)


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (SoundDataset, set()),
        (OneClassTooMany, {"labels_are_in_range"}),
        (SharedSample, {"splits_are_disjoint"}),
        (NewIds, {"samples_keep_their_order"}),
        (ForeignDomain, {"domains_are_declared"}),
        (NoPlaceForTheName, {"templates_have_one_place"}),
        (EverySplit, {"splits_are_known_and_filled"}),
        (WrongCount, {"record_tells_the_truth"}),
        (SameFingerprint, {"fingerprints_tell_images_apart"}),
        (NotForWorkers, {"images_cross_to_workers"}),
        (HoldsPixels, {"images_cross_to_workers"}),
        (IgnoresItsFiles, {"digest_moves_with_files"}),
        (WithFactors, set()),
        (OneRowTooFew, {"factors_are_aligned_with_samples"}),
        (NotANumber, {"factors_are_aligned_with_samples"}),
        (SmallFloats, {"factors_are_aligned_with_samples"}),
        (OtherFactors, {"factors_are_aligned_with_samples"}),
        (RestlessFactors, {"factors_are_aligned_with_samples"}),
        (Degrees, {"factors_are_of_their_kind"}),
        (HalfCategories, {"factors_are_of_their_kind"}),
        (StillFactor, {"factors_are_of_their_kind"}),
        (AllowedTooFew, {"domain_classes_hold_their_samples"}),
        (AllowedUnknown, {"domain_classes_hold_their_samples"}),
        (AllowedBeyond, {"domain_classes_hold_their_samples"}),
        (OneClass, {"record_tells_the_truth", "classes_are_distinct_names"}),
        (OneClassWithCaptions, {"record_tells_the_truth"}),
    ],
)
def test_a_broken_dataset_is_caught(broken: type, caught: set[str]) -> None:
    assert failed(DATASET, broken) == caught
