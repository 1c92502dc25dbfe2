"""Photos with five captions each: COCO and Flickr30k. Refuses lists that name absent images, or no caption.

Karpathy's splits are used where his JSON file lies beside the images; results of retrieval are comparable on them
alone. An argument chooses splits, so that only their images are read: ``coco:test``, ``flickr30k:val+test``.
There are no classes: every sample has label 0, which stands for "a photo".

Source of the splits: Karpathy and Fei-Fei, Deep visual-semantic alignments, CVPR 2015, section 4.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from lpcm.datasets.download import check_images
from lpcm.datasets.folder import SPLIT_KEY, SPLIT_NOTE
from lpcm.datasets.listing import SPLITS, Listing
from lpcm.datasets.names import checked_id
from lpcm.datasets.placed import PlacedDataset
from lpcm.datasets.sources import FileImage
from lpcm.datasets.splits import split_by_key
from lpcm.errors import DataError, UsageError, nearest
from lpcm.plugin.contracts import DatasetOptions, Sample

CAPTIONS = 5
"""Captions of an image that count: some of COCO's have six or seven, and papers take the first five."""

# "restval" are images of COCO's val2014 that are neither in val nor in test: papers train on them.
_KARPATHY = {"train": "train", "restval": "train", "val": "val", "test": "test"}
_PLACES = (".", "annotations", "karpathy", "caption_datasets")


@dataclass(frozen=True)
class _Captioned:
    """A line of a list: the image's path below the folder of images, its split if it has one, its captions."""

    path: str
    split: str
    captions: tuple[str, ...]


class CaptionSet(PlacedDataset):
    """Images with captions.

    Args:
        options: ``argument`` names splits joined by ``+``; empty for all.

    Class attributes beside those of ``PlacedDataset``:
        karpathy: name of his file.

    Raises:
        UsageError: for another split than train, val and test.
    """

    karpathy: ClassVar[str]
    prompts = ("a {}.",)
    parts = ()  # which files are needed depends on which lists are there

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(options)
        if options.argument:
            self.name = f"{self.known_as}:{options.argument}"
        self.asked = tuple(options.argument.split("+")) if options.argument else SPLITS
        for split in self.asked:
            if split not in SPLITS or self.asked.count(split) > 1:
                raise UsageError(
                    f"{self.name}: split {split!r}: expected some of {', '.join(SPLITS)}, joined by '+'",
                    nearest(split, SPLITS) or f"Type for example {self.known_as}:test",
                )

    @abstractmethod
    def _images(self, folder: Path) -> Path:
        """What paths in Karpathy's file are relative to."""

    @abstractmethod
    def _other(self, folder: Path) -> Listing:
        """List what is there without Karpathy's file."""

    def _read(self, folder: Path) -> Listing:
        file = _find(folder, self.karpathy)
        if file is None:
            return self._other(folder)
        return self._listing(
            list(_read_karpathy(file)), self._images(folder), file, (f"Karpathy split ({file.name})",)
        )

    def _listing(self, rows: list[_Captioned], images: Path, source: Path, notes: tuple[str, ...]) -> Listing:
        """The asked splits of what a list says; a split by key where it says none."""
        if not any(row.split for row in rows):
            chosen = split_by_key([row.path for row in rows], [""] * len(rows), SPLIT_KEY)
            splits = {split: [rows[place] for place in places] for split, places in chosen.items()}
            notes = (*notes, SPLIT_NOTE.replace(" of each class", ""))
        else:
            splits = {split: [row for row in rows if row.split == split] for split in SPLITS}
        splits = {split: splits[split] for split in self.asked}
        for split, found in splits.items():
            if not found and self.asked != SPLITS:
                raise DataError(f"{source} has no image of {split}, which {self.name} asks for")
        wanted = [row.path for found in splits.values() for row in found]
        check_images(self.name, images, wanted, source.name)
        longer = sum(len(row.captions) > CAPTIONS for found in splits.values() for row in found)
        if longer:
            notes = (
                *notes,
                f"{longer} images have more than {CAPTIONS} captions: the first {CAPTIONS} are used",
            )
        return Listing(
            classes=("photo",),
            samples={
                split: tuple(
                    Sample(
                        checked_id(row.path),
                        FileImage(images / row.path),
                        0,
                        captions=row.captions[:CAPTIONS],
                    )
                    for row in found
                )
                for split, found in splits.items()
            },
            notes=notes,
        )

    def _lacking(self, folder: Path, what: str) -> DataError:
        return DataError(
            f"{self.name}: {folder} is there, but has neither {self.karpathy} nor {what}. Expected:\n{self._drawn()}",
            self._how_to_complete(folder),
        )


class Coco(CaptionSet):
    """MS COCO captions: Karpathy's splits of the 2014 images, or the 2017 lists without them."""

    known_as = "coco"
    folders = ("coco", "COCO", "mscoco")
    karpathy = "dataset_coco.json"
    home = "cocodataset.org (images, lists); Karpathy's file: cs.stanford.edu/people/karpathy/deepimagesent"
    terms = "CC BY 4.0 (captions); Flickr terms of use (photos)"
    tree = """
├── train2014/COCO_train2014_000000000009.jpg ...
├── val2014/COCO_val2014_000000000042.jpg ...   (val and test are in here)
└── dataset_coco.json            (Karpathy's split; also in annotations/ or karpathy/)
or, without Karpathy's file:
├── val2017/000000000139.jpg ...
├── train2017/                   (if you like: else val2017 is split by key)
└── annotations/captions_val2017.json, captions_train2017.json
"""

    def _images(self, folder: Path) -> Path:
        return folder / "images" if (folder / "images").is_dir() else folder

    def _other(self, folder: Path) -> Listing:
        images = self._images(folder)
        val = _find(folder, "captions_val2017.json")
        if val is None or not (images / "val2017").is_dir():
            raise self._lacking(folder, "captions_val2017.json with the images of val2017")
        note = f"{self.karpathy} is not there: not comparable with results on Karpathy's split"
        train = _find(folder, "captions_train2017.json")
        if train is None or not (images / "train2017").is_dir():
            return self._listing(list(_read_coco(val, "val2017", "")), images, val, (note,))
        rows = [*_read_coco(train, "train2017", "train"), *_read_coco(val, "val2017", "test")]
        return self._listing(
            rows, images, val, (note, "COCO 2017: val2017 is test, validation is taken from train")
        )


class Flickr30k(CaptionSet):
    """Flickr30k: Karpathy's splits, or the list of captions without them."""

    known_as = "flickr30k"
    folders = ("flickr30k", "Flickr30k", "flickr30k_entities")
    karpathy = "dataset_flickr30k.json"
    home = (
        "shannon.cs.illinois.edu/DenotationGraph (a form); "
        "Karpathy's file: cs.stanford.edu/people/karpathy/deepimagesent"
    )
    terms = "non-commercial research and education (Flickr terms of use)"
    tokens: ClassVar[str] = "results_20130124.token"
    tree = f"""
├── flickr30k-images/1000092795.jpg ...   (also flickr30k_images/ or images/)
├── {karpathy}       (Karpathy's split)
└── {tokens}        (used when that is not there)
"""

    def _images(self, folder: Path) -> Path:
        names = ("flickr30k-images", "flickr30k_images", "images", "Images")
        return next((folder / name for name in names if (folder / name).is_dir()), folder)

    def _other(self, folder: Path) -> Listing:
        file = _find(folder, self.tokens)
        if file is None:
            raise self._lacking(folder, self.tokens)
        note = f"{self.karpathy} is not there: not comparable with results on Karpathy's split"
        return self._listing(list(_read_tokens(file)), self._images(folder), file, (note,))


def _find(folder: Path, name: str) -> Path | None:
    return next((path for place in _PLACES if (path := folder / place / name).is_file()), None)


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # both bad JSON and bad UTF-8
        raise DataError(
            f"{file} is not JSON ({error})", "The download may have been cut off: fetch it anew."
        ) from error


def _read_karpathy(file: Path) -> Iterator[_Captioned]:
    """Images with their split and captions, as ``{"images": [{"filename", "split", "sentences": [{"raw"}]}]}``."""
    for number, image in enumerate(_entries(file, _read_json(file), "images")):
        where = f"{file}: images[{number}]"
        match image:
            case {"filename": str(name), "split": str(split), "sentences": [*sentences]}:
                pass
            case _:
                raise DataError(f"{where} is {image!r:.80}: expected filename, split and sentences")
        if split not in _KARPATHY:
            raise DataError(f"{where} has split {split!r}: expected {', '.join(_KARPATHY)}")
        texts = [sentence.get("raw") if isinstance(sentence, dict) else None for sentence in sentences]
        path = f"{image['filepath']}/{name}" if image.get("filepath") else name
        yield _Captioned(_below(path, where), _KARPATHY[split], _clean(texts, where))


def _read_coco(file: Path, folder: str, split: str) -> Iterator[_Captioned]:
    """Images of COCO's own list, ``{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}``."""
    content = _read_json(file)
    texts: dict[Any, list[Any]] = {}
    for note in _entries(file, content, "annotations"):
        if not isinstance(note, dict) or not {"image_id", "caption"} <= note.keys():
            raise DataError(f"{file}: {note!r:.80} in annotations: expected image_id and caption")
        texts.setdefault(note["image_id"], []).append(note["caption"])
    for number, image in enumerate(_entries(file, content, "images")):
        where = f"{file}: images[{number}]"
        match image:
            case {"id": int(key), "file_name": str(name)}:
                yield _Captioned(_below(f"{folder}/{name}", where), split, _clean(texts.get(key, []), where))
            case _:
                raise DataError(f"{where} is {image!r:.80}: expected id and file_name")


def _read_tokens(file: Path) -> Iterator[_Captioned]:
    """Images of a list with lines ``NAME.jpg#0<tab>caption``."""
    texts: dict[str, list[str]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        head, tab, text = line.partition("\t")
        name, mark, place = head.rpartition("#")
        if not tab or not mark or not place.isdecimal():
            raise DataError(f"{file}, line {number}: {line!r:.60}: expected IMAGE.jpg#0, a tab and a caption")
        texts.setdefault(name, []).append(text)
    for name, captions in texts.items():
        yield _Captioned(_below(name, str(file)), "", _clean(captions, f"{file}: {name}"))


def _entries(file: Path, content: Any, key: str) -> Iterable[Any]:
    entries = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{file} has no list {key!r}: expected a file of captions")
    return entries


def _below(path: str, where: str) -> str:
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise DataError(f"{where}: path {path!r} leads out of the folder of images: expected one below it")
    return path


def _clean(texts: list[Any], where: str) -> tuple[str, ...]:
    """Captions on one line each, without the spaces around them that some of COCO's have."""
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where} has a caption that is no text")
    captions = tuple(clean for text in texts if (clean := " ".join(text.split())))
    if not captions:
        raise DataError(f"{where} has no caption: expected one or more an image")
    return captions
