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
    ],
)
def test_a_broken_dataset_is_caught(broken: type, caught: set[str]) -> None:
    assert failed(DATASET, broken) == caught
