"""``folder:PATH``: images in class folders, under splits or domains or neither. Refuses to guess a layout.

The layout is read off the tree (``?layout=classes|splits|domains`` behind the path decides it instead):

    PATH/train/CLASS/*      splits: also val (valid, validation) and test
    PATH/DOMAIN/CLASS/*     domains: two or more, each with the same class folders
    PATH/CLASS/*            classes

Where no split is given, one is made by a fixed key within each class and domain, about 50 : 20 : 30.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from lpcm.datasets.listing import SPLITS, ListedDataset, Listing
from lpcm.datasets.names import checked_id, pretty, pretty_all, some
from lpcm.datasets.sources import IMAGE_SUFFIXES, FileImage, is_image_name
from lpcm.datasets.splits import split_by_key
from lpcm.errors import DataError, MissingError, UsageError, nearest
from lpcm.keys import Key
from lpcm.plugin.contracts import DatasetOptions, Sample

SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
SPLIT_KEY = Key.of(0).fold("dataset-split", 1)
"""The key of every split made here: the split belongs to the data, not to a study's seed."""
SPLIT_NOTE = "split made by key: about 50 % train, 20 % val, 30 % test of each class (no split was given)"

_ASKED = re.compile(r"\?layout=([^/?]*)\Z")
_MACHINE_FOLDERS = frozenset(("__MACOSX", "@eaDir", "lost+found"))


class Layout(str, Enum):
    """What the folders directly under the path are."""

    CLASSES = "classes"
    SPLITS = "splits"
    DOMAINS = "domains"


@dataclass(frozen=True)
class Folder:
    """What lies directly in a folder, hidden entries left out; names are sorted."""

    path: Path
    images: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    others: tuple[str, ...] = field(default=(), repr=False)

    def enter(self, name: str) -> Folder:
        """The folder ``name`` in it."""
        return look_into(self.path / name)

    def inner(self) -> Iterator[Folder]:
        """Each folder in it."""
        return (self.enter(name) for name in self.folders)


def look_into(path: Path) -> Folder:
    """List a folder once.

    Raises:
        DataError: when it cannot be read, or an image in it is a link to nothing.
    """
    images, folders, others = [], [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in _MACHINE_FOLDERS:
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif not is_image_name(entry.name):
                    others.append(entry.name)
                elif entry.is_file():
                    images.append(entry.name)
                else:
                    raise DataError(
                        f"{entry.path} is a link to nothing", "Restore the file or remove the link."
                    )
    except OSError as error:
        raise DataError(f"{path}: cannot be listed ({error.strerror})") from error
    return Folder(path, tuple(sorted(images)), tuple(sorted(folders)), tuple(sorted(others)))


class FolderDataset(ListedDataset):
    """Images in class folders.

    Args:
        options: ``argument`` is the path, with ``?layout=...`` behind it when the layout is to be decided. A
            relative path that is not there is looked for under ``root`` too.

    Raises:
        UsageError: without a path, or for an unknown layout.
    """

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(f"folder:{options.argument}", options.files)
        text, self._asked = _parse(options.argument)
        self.path = _found(Path(text).expanduser(), options.root)

    def _list(self) -> Listing:
        _check_folder(self.path)
        top = look_into(self.path)
        layout = self._asked or recognise(top)
        if layout is Layout.SPLITS:
            return self._list_splits(top)
        if layout is Layout.DOMAINS:
            return self._list_domains(top)
        return self._list_classes(top)

    def _list_splits(self, top: Folder) -> Listing:
        found: dict[str, Folder] = {}
        for name in top.folders:
            split = SPLIT_FOLDERS.get(name.lower())
            if split is None:
                raise DataError(
                    f"{top.path / name} is not a split: expected train, val and test under {top.path}",
                    f"Move it away; if the folders are domains, say so: {_asking(self.path, Layout.DOMAINS)}",
                )
            if split in found:
                raise DataError(
                    f"{found[split].path.name} and {name} in {top.path} are both the {split} split"
                )
            found[split] = top.enter(name)
        if "train" not in found:
            raise DataError(
                f"{top.path} has no train folder: expected train, val and test, each with class folders"
            )
        trees = {split: _classes_in(found[split]) for split in SPLITS if split in found}
        names = sorted(trees["train"])
        for split, tree in trees.items():
            _check_same_classes(found[split].path, tree, found["train"].path, names)
        classes, notes = self._classes(top, names)
        samples = {split: tuple(self._samples(names, [(tree, "")])) for split, tree in trees.items()}
        return Listing(classes=classes, samples=samples, notes=notes + _skipped(trees.values()))

    def _list_classes(self, top: Folder) -> Listing:
        tree = _classes_in(top)
        names = sorted(tree)
        classes, notes = self._classes(top, names)
        samples = list(self._samples(names, [(tree, "")]))
        return Listing(
            classes=classes, samples=_by_key(samples, names), notes=(*notes, *_skipped([tree]), SPLIT_NOTE)
        )

    def _list_domains(self, top: Folder) -> Listing:
        if not top.folders:
            raise DataError(f"{top.path} has no folders: expected DOMAIN/CLASS/* under it")
        trees = {name: _classes_in(top.enter(name)) for name in top.folders}
        names = sorted({name for tree in trees.values() for name in tree})
        classes, notes = self._classes(top, names)
        domains, more = pretty_all(list(trees))
        samples = list(self._samples(names, list(zip(trees.values(), domains, strict=True))))
        return Listing(
            classes=classes,
            domains=domains,
            samples=_by_key(samples, names),
            notes=(*notes, *more, *_skipped(trees.values()), SPLIT_NOTE),
        )

    def _classes(self, top: Folder, names: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if len(names) == 1:
            raise DataError(
                f"{top.path} has one class only, {names[0]!r}: expected two or more class folders",
                f"If {pretty(names[0])!r} is a folder of class folders, type folder:{top.path / names[0]}",
            )
        return pretty_all(names)

    def _samples(self, names: list[str], trees: list[tuple[Mapping[str, Folder], str]]) -> Iterator[Sample]:
        label = {name: number for number, name in enumerate(names)}
        for tree, domain in trees:
            for name, folder in tree.items():
                prefix = folder.path.relative_to(self.path).as_posix()
                for image in folder.images:
                    # Joined as text: two thousand Path operations cost more than listing them.
                    yield Sample(
                        checked_id(f"{prefix}/{image}"), FileImage(folder.path / image), label[name], domain
                    )


def recognise(top: Folder) -> Layout:
    """Read the layout off the tree.

    Raises:
        DataError: when there is nothing to read, or two layouts fit.
    """
    if not top.folders:
        raise DataError(
            f"{top.path} has no folders"
            + (f" but {len(top.images)} images" if top.images else " and no images" if not top.others else "")
            + f": expected {top.path.name}/CLASS/* or {top.path.name}/train/CLASS/*",
            "Put the images of each class into a folder of its own, or list them in a CSV file: csv:FILE",
        )
    inner = list(top.inner())
    if any(folder.images for folder in inner):
        return Layout.CLASSES
    splits = {SPLIT_FOLDERS.get(name.lower()) for name in top.folders}
    if None not in splits or ("train" in splits and splits & {"val", "test"}):
        return Layout.SPLITS  # a foreign folder among them is named by the listing
    below = [set(folder.folders) for folder in inner]
    if not any(below):
        return Layout.CLASSES  # empty class folders: the listing names them
    if len(below) > 1 and all(names == below[0] for names in below):
        return Layout.DOMAINS
    if len(below) == 1:
        raise DataError(
            f"{top.path} holds only {top.folders[0]}, whose images lie deeper than expected",
            f"Type folder:{inner[0].path}",
        )
    uneven = next((f for f, names in zip(inner, below, strict=True) if names != below[0]), inner[0])
    raise DataError(
        f"{top.path}: images lie deeper than expected, and {inner[0].path.name} and {uneven.path.name} "
        f"have different folders in them: {_difference(below[0], set(uneven.folders))}",
        f"If these are domains, say so: {_asking(top.path, Layout.DOMAINS)}",
    )


def _found(path: Path, root: Path) -> Path:
    """The path itself, or the one under the data root, so that a study file need not know where data lie."""
    under = root / path
    return under if not path.exists() and under.exists() else path


def _parse(argument: str) -> tuple[str, Layout | None]:
    match = _ASKED.search(argument)
    text = argument[: match.start()] if match else argument
    if not text:
        raise UsageError("folder needs a path", "Type --dataset folder:PATH")
    if not match:
        return text, None
    known = [layout.value for layout in Layout]
    if match[1] not in known:
        raise UsageError(
            f"layout {match[1]!r} in folder:{argument}: expected {', '.join(known)}", nearest(match[1], known)
        )
    return text, Layout(match[1])


def _check_folder(path: Path) -> None:
    if path.is_dir():
        return
    if path.exists():
        table = path.suffix.lower() in (".csv", ".tsv")
        raise UsageError(
            f"{path} is a file: expected a folder of class folders",
            f"Type csv:{path}" if table else f"Type folder:{path.parent}" if path.parent.name else "",
        )
    siblings = (
        [entry.name for entry in path.parent.iterdir() if entry.is_dir()] if path.parent.is_dir() else []
    )
    raise MissingError(
        f"{path.absolute()} does not exist: expected a folder of class folders",
        nearest(path.name, siblings) if siblings else "",
    )


def _classes_in(folder: Folder) -> dict[str, Folder]:
    """The class folders in a folder; each holds images and no folder with images."""
    if folder.images:
        raise DataError(
            f"{folder.path / folder.images[0]} lies beside the class folders: expected images in them only "
            f"({len(folder.images)} lie there)",
            "Move them into the folder of their class.",
        )
    tree = {name: folder.enter(name) for name in folder.folders}
    if not tree:
        raise DataError(f"{folder.path} has no class folders: expected {folder.path.name}/CLASS/*")
    for inside in tree.values():
        for deeper in inside.inner():
            if deeper.images or deeper.folders:
                raise DataError(
                    f"{deeper.path} lies deeper than expected: images of a class lie in {inside.path} itself",
                    f"Move its images up, or list them in a CSV file: csv:FILE. {_asking_hint(folder)}",
                )
        if not inside.images:
            seen = (
                f"{len(inside.others)} other files, for example {inside.others[0]}"
                if inside.others
                else "empty"
            )
            raise DataError(
                f"class folder {inside.path} has no image ({seen})",
                f"Remove it, or add images: {' '.join(sorted(IMAGE_SUFFIXES))}",
            )
    return tree


def _check_same_classes(path: Path, tree: Mapping[str, Folder], base: Path, names: list[str]) -> None:
    if set(tree) != set(names):
        raise DataError(
            f"{path} and {base} have different classes: {_difference(set(names), set(tree))}",
            "Expected the same class folders in every split.",
        )


def _difference(expected: set[str], found: set[str]) -> str:
    parts = []
    if missing := sorted(expected - found):
        parts.append(f"{len(missing)} missing ({some(missing)})")
    if extra := sorted(found - expected):
        parts.append(f"{len(extra)} extra ({some(extra)})")
    return ", ".join(parts)


def _by_key(samples: list[Sample], names: list[str]) -> dict[str, tuple[Sample, ...]]:
    strata = [f"{sample.domain}/{names[sample.label]}" for sample in samples]
    rows = split_by_key([sample.id for sample in samples], strata, SPLIT_KEY)
    return {split: tuple(samples[row] for row in chosen) for split, chosen in rows.items()}


def _skipped(trees: Iterable[Mapping[str, Folder]]) -> tuple[str, ...]:
    others = [f.path / name for tree in trees for f in tree.values() for name in f.others]
    return (
        (f"{len(others)} files are not images and were left out, for example {others[0].name}",)
        if others
        else ()
    )


def _asking(path: Path, layout: Layout) -> str:
    return f"'folder:{path}?layout={layout.value}'"


def _asking_hint(folder: Folder) -> str:
    return f"If the folders in {folder.path.name} are domains: {_asking(folder.path, Layout.DOMAINS)}"
