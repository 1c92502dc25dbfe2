"""``imagenet-shift``: train on ImageNet, test on it and on what its classifiers meet outside. Refuses to guess.

The domains are ``imagenet`` (train and test) and, each with test images only, those of V2, Sketch, R and A that are
on disk; the notes name those that are not. R and A declare their 200 classes in ``domain_classes``.

Source: the collection is that of CoOp's domain generalisation (Zhou et al., IJCV 2022, section 4.2).
"""

from __future__ import annotations

from dataclasses import replace

from lpcm.datasets.imagenet import (
    ImageNet,
    ImageNetA,
    ImageNetFamily,
    ImageNetR,
    ImageNetSketch,
    ImageNetV2,
)
from lpcm.datasets.imagenet_names import class_names
from lpcm.datasets.listing import ListedDataset, Listing
from lpcm.datasets.names import some
from lpcm.errors import MissingError
from lpcm.plugin.contracts import DatasetOptions, Sample

NAME = "imagenet-shift"
SHIFTED: tuple[type[ImageNetFamily], ...] = (ImageNetV2, ImageNetSketch, ImageNetR, ImageNetA)
LICENCE = f"{ImageNet.terms} (ImageNet), MIT (the others)"


class ImageNetShift(ListedDataset):
    """The sets that are there, as domains.

    Args:
        options: ``argument`` as for ``imagenet``: training images a class to keep at most.

    Raises:
        UsageError: as ``imagenet``.
    """

    def __init__(self, options: DatasetOptions) -> None:
        shifted = replace(options, argument="")
        self._sets: list[ImageNetFamily] = [ImageNet(options), *(kind(shifted) for kind in SHIFTED)]
        super().__init__(
            f"{NAME}:{options.argument}" if options.argument else NAME, options.files, licence=LICENCE
        )

    @property
    def domain_classes(self) -> dict[str, tuple[int, ...]]:
        """Labels that occur in the domains that hold some of the classes only."""
        found: dict[str, tuple[int, ...]] = {}
        for each in self._sets:
            if each.known_as in self.domains:
                found |= getattr(each, "domain_classes", {})
        return found

    def _list(self) -> Listing:
        classes = class_names()  # first: a package that is missing must not be taken for a set that is
        there: dict[str, Listing] = {}
        absent: dict[str, MissingError] = {}
        for each in self._sets:
            try:
                there[each.known_as] = each.listing
            except MissingError as error:
                absent[each.known_as] = error
        if ImageNet.known_as not in there or len(there) < 2:
            raise MissingError(
                f"{self.name} needs imagenet and one of {', '.join(kind.known_as for kind in SHIFTED)}: "
                f"on disk {f'is only {some(list(there))}' if there else 'is none'}. "
                + "\n".join(error.message for error in absent.values()),
                "\n".join(f"{name}: {error.hint}" for name, error in absent.items()),
            )
        return Listing(
            classes=classes,
            domains=tuple(there),
            samples={
                split: tuple(
                    _placed(sample, name)
                    for name, listing in there.items()
                    for sample in listing.samples.get(split, ())
                )
                for split in ("train", "test")
            },
            notes=(
                *dict.fromkeys(note for listing in there.values() for note in listing.notes),
                *(f"{name} is not on disk: left out" for name in absent),
            ),
        )


def _placed(sample: Sample, domain: str) -> Sample:
    return Sample(f"{domain}/{sample.id}", sample.image, sample.label, domain)
