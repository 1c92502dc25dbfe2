"""The dataset `drawn-names`: every emoji and icon with its name, for training a pair of towers on drawings.

It holds all drawings of which `emoji` and `icons` show some. Whoever trains on its train split may be scored on the
test splits of all three: a concept that is tested or validated in any of them is not trained on here, in any style,
under any name that differs in gender or direction only. One style, Font Awesome's, is not trained on at all.
It refuses a concept in two splits, and icon names of three words and more, which say how a drawing is marked rather
than what it shows. Names differ in one word at times: "file alert" may be trained on and "file" tested.
`drawn-names:two-views` trains on each drawing twice (``second_view``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import DatasetOptions, ImageSource, Sample
from lpcm.store.digest import digest_of
from lpcm_lite.datasets.drawings import Glyph, VectorDrawing
from lpcm_lite.datasets.emoji import STYLES, Emoji, concepts
from lpcm_lite.datasets.icons import Icons, icons
from lpcm_lite.datasets.partition import SPLITS
from lpcm_lite.datasets.second_view import SecondView

HELD_OUT_STYLE = "font-awesome"
"""In val and test only."""

MOST_WORDS = 2
"""Of an icon's name."""

TWO_VIEWS = "two-views"
"""Argument by which the train split holds a second view of each drawing; val and test stay as they are."""

TESTED, VALIDATED = 0.2, 0.05
"""Shares of the concepts that neither `emoji` nor `icons` puts in a split."""

_KEY = Key.of(0).fold("drawn-names", "split")
_SCHEME = 1


@dataclass(frozen=True)
class _Drawing:
    """One drawing, the concept that it shares with others, and where its own dataset has it."""

    id: str
    image: ImageSource
    label: int
    style: str
    name: str
    concept: str
    split: str  # of `emoji` or `icons`; empty when they leave it out
    kept: bool = True  # others count where splits are decided, and are not here


class DrawnNames:
    """Emoji in two styles and icons in seven, with their names as captions.

    Args:
        options: of the user; nothing is read outside installed packages.

    Raises:
        UsageError: for an argument other than ``two-views``.
    """

    name = "drawn-names"
    classes = ("emoji", "icon")
    templates = ("{}", "a drawing of a {}.", "an icon of a {}.")
    domains = (*STYLES, *Icons.domains)
    splits = SPLITS
    licence = f"{Emoji.licence}; {Icons.licence}"

    def __init__(self, options: DatasetOptions) -> None:
        if options.argument not in ("", TWO_VIEWS):
            raise UsageError(
                f"dataset 'drawn-names' takes {TWO_VIEWS} or nothing after a colon: given {options.argument!r}",
                f"--dataset drawn-names, or --dataset drawn-names:{TWO_VIEWS}",
            )
        self._options = options
        self._twice = bool(options.argument)
        if self._twice:
            self.name = f"{self.name}:{TWO_VIEWS}"

    def samples(self, split: str) -> Sequence[Sample]:
        """List the samples of a split, emoji first, in the order of their ids.

        Raises:
            UsageError: when there is no such split.
            MissingError: when a package is not installed.
            DataError: when a package has other contents than the pinned one.
        """
        if split not in self.splits:
            raise UsageError(
                f"dataset 'drawn-names' has no split {split!r}: expected one of {', '.join(self.splits)}"
            )
        return self._samples[split]

    def digest(self) -> str:
        """Hex digest of all samples and their files."""
        rows = []
        for split in self.splits:
            samples = self._samples[split]
            images = [sample.image for sample in samples]
            sources = [image.drawing if isinstance(image, SecondView) else image for image in images]
            paths = [source.path for source in sources if isinstance(source, VectorDrawing | Glyph)]
            points = [source.point if isinstance(source, Glyph) else 0 for source in sources]
            rows += [
                [split, s.id, s.label, s.domain, s.captions, file, point]
                for s, file, point in zip(samples, self._options.files.digests(paths), points, strict=True)
            ]
        return digest_of({"dataset": self.name, "scheme": _SCHEME, "samples": rows})

    @cached_property
    def _samples(self) -> dict[str, tuple[Sample, ...]]:
        drawings = sorted(_drawings(self._options), key=lambda drawing: (drawing.label, drawing.id))
        split_of = _split_of(drawings)
        rows: dict[str, list[Sample]] = {split: [] for split in self.splits}
        for drawing in drawings:
            split = split_of[drawing.concept]
            if drawing.kept and (split != "train" or drawing.style != HELD_OUT_STYLE):
                sample = Sample(drawing.id, drawing.image, drawing.label, drawing.style, (drawing.name,))
                rows[split].append(sample)
        if self._twice:  # behind all of them, so that their features are found where they are
            rows["train"] += [_second(sample) for sample in rows["train"]]
        return {split: tuple(samples) for split, samples in rows.items()}


def load(options: DatasetOptions) -> DrawnNames:
    """Build the dataset; nothing is listed before its first use."""
    return DrawnNames(options)


def _second(sample: Sample) -> Sample:
    drawing = sample.image
    assert isinstance(drawing, VectorDrawing | Glyph)
    name = f"{sample.id}/second-view"
    return replace(sample, id=name, image=SecondView(drawing, name))


def _split_of(drawings: Sequence[_Drawing]) -> dict[str, str]:
    """Split of each concept: the strictest that a dataset gives one of its drawings, or else drawn by key."""
    given: dict[str, set[str]] = {}
    for drawing in drawings:
        given.setdefault(drawing.concept, set()).add(drawing.split)
    return {
        concept: next((split for split in ("test", "val", "train") if split in splits), _drawn(concept))
        for concept, splits in given.items()
    }


def _drawn(concept: str) -> str:
    place = _KEY.fold(concept).generator().random()
    return "test" if place < TESTED else "val" if place < TESTED + VALIDATED else "train"


def _drawings(options: DatasetOptions) -> Iterator[_Drawing]:
    options = replace(options, argument="")
    family: dict[str, str] = {}
    places = _places(Emoji(options))
    for concept in concepts():
        family[concept.name.lower()] = f"emoji/{concept.family}"
        for style, path in zip(STYLES, concept.drawings, strict=True):
            name = f"{style}/{concept.code}"
            yield _Drawing(
                name,
                VectorDrawing(path),
                0,
                style,
                concept.name,
                f"emoji/{concept.family}",
                places.get(name, ""),
            )
    places = _places(Icons(options))
    for icon in icons():
        name, caption = f"{icon.style}/{icon.name}", icon.name.replace("-", " ")
        # An icon that is called like an emoji is of the same concept.
        concept_of = family.get(caption, f"icon/{icon.name}")
        short = icon.name.count("-") < MOST_WORDS
        yield _Drawing(name, icon.glyph, 1, icon.style, caption, concept_of, places.get(name, ""), short)


def _places(dataset: Emoji | Icons) -> dict[str, str]:
    return {sample.id: split for split in dataset.splits for sample in dataset.samples(split)}
