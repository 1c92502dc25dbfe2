"""A dataset whose samples are listed once, on first need. Refuses doubled ids and labels out of range.

Loaders give only ``_list``; what follows from the list (splits, digest, chance, size) is the same for all.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lpcm.datasets.sources import fingerprints
from lpcm.errors import DataError, nearest
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    from lpcm.plugin.contracts import Sample
    from lpcm.store.files import FileDigests

SPLITS = ("train", "val", "test")
PHOTO = ("a photo of a {}.",)
_FOUND = frozenset(("classes", "domains", "notes", "splits"))


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What was found.

    Args:
        classes: class names in the order of the labels.
        samples: samples of each split.
        domains: names of the domains.
        notes: what a reader of the results should know, for example that a split was made by key.
    """

    classes: tuple[str, ...]
    samples: Mapping[str, tuple[Sample, ...]]
    domains: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class ListedDataset(ABC):
    """A dataset that lists itself at the first question.

    Args:
        name: how the row calls it.
        files: digests of files on disk.
        templates: prompts with one ``{}`` each.
        licence: of the images.

    Attributes:
        classes: class names in the order of the labels.
        domains: names of the domains; empty when there are none.
        splits: names of the splits that have samples, in the order train, val, test.
        notes: what a reader of the results should know of how the samples were found.
    """

    classes: tuple[str, ...]
    domains: tuple[str, ...]
    splits: tuple[str, ...]
    notes: tuple[str, ...]

    def __init__(
        self,
        name: str,
        files: FileDigests,
        *,
        templates: tuple[str, ...] = PHOTO,
        licence: str = "not stated",
    ) -> None:
        self.name = name
        self.templates = templates
        self.licence = licence
        self._files = files

    @abstractmethod
    def _list(self) -> Listing:
        """Find the samples. Raises ``MissingError``, ``UsageError`` or ``DataError``."""

    @cached_property
    def listing(self) -> Listing:
        """What was found, checked."""
        found = self._list()
        seen: dict[str, str] = {}
        for split, samples in found.samples.items():
            for sample in samples:
                if sample.id in seen:
                    where = (
                        f"twice in {split}"
                        if seen[sample.id] == split
                        else f"in {seen[sample.id]} and {split}"
                    )
                    raise DataError(
                        f"{self.name}: sample {sample.id!r} is there {where}: expected unique ids"
                    )
                seen[sample.id] = split
                if not 0 <= sample.label < len(found.classes):
                    raise DataError(
                        f"{self.name}: sample {sample.id!r} has label {sample.label}, "
                        f"expected 0 to {len(found.classes) - 1}"
                    )
        return found

    def __getattr__(self, name: str) -> tuple[str, ...]:
        # Reached only while the attribute is not there: plain attributes, as the contract has, found late.
        if name not in _FOUND:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = self.listing
        self.classes = found.classes
        self.domains = found.domains
        self.notes = found.notes
        self.splits = tuple(split for split in SPLITS if found.samples.get(split))
        return tuple(self.__dict__[name])

    @property
    def chance(self) -> float:
        """Accuracy of a guess among equally likely classes: 1 / c."""
        return 1.0 / len(self.classes)

    @property
    def size(self) -> int:
        """Number of samples in all splits."""
        return sum(len(samples) for samples in self.listing.samples.values())

    def samples(self, split: str) -> Sequence[Sample]:
        """Samples of a split, in a fixed order.

        Raises:
            MissingError: when the dataset is not on disk.
            DataError: when its layout is not the expected one, or it has no such split.
        """
        if split not in self.splits:
            raise DataError(
                f"{self.name} has no split {split!r}: it has {', '.join(self.splits) or 'none'}",
                nearest(split, self.splits),
            )
        return self.listing.samples[split]

    def digest(self) -> str:
        """Hex digest of classes and samples: it moves with any id, label, split, domain, caption or file."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        parts = {}
        for split in self.splits:
            # In the order of the ids: how a file system lists a folder must not matter.
            samples = sorted(self.listing.samples[split], key=lambda sample: sample.id)
            sources = [sample.image for sample in samples if sample.image is not None]
            prints = iter(fingerprints(sources, self._files))
            rows = [
                (s.id, s.label, s.domain, s.captions, None if s.image is None else next(prints))
                for s in samples
            ]
            # Plain JSON of plain values: digest_of looks at each value by itself, a second for 60,000 images.
            parts[split] = hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()
        return digest_of({"schema": 1, "classes": self.classes, "domains": self.domains, "samples": parts})
