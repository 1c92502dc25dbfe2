"""``csv:FILE``: a table of images. Refuses rows that are incomplete or name no file, with their line numbers.

Columns: ``path`` (relative to the table, or absolute) and ``label`` (the class name); optional ``domain``,
``caption`` and ``split`` (train, val, test). Further rows of the same image may add captions. Separated by
commas, or by tabs when the file ends in ``.tsv``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lpcm.datasets.folder import SPLIT_FOLDERS, SPLIT_KEY, SPLIT_NOTE
from lpcm.datasets.listing import SPLITS, ListedDataset, Listing
from lpcm.datasets.names import checked_id, pretty_all, some
from lpcm.datasets.sources import FileImage
from lpcm.datasets.splits import split_by_key
from lpcm.errors import DataError, MissingError, UsageError, nearest
from lpcm.plugin.contracts import DatasetOptions, Sample

NEEDED = ("path", "label")
COLUMNS = (*NEEDED, "domain", "caption", "split")


@dataclass
class _Image:
    """What the rows of one image say."""

    line: int
    label: str
    domain: str
    split: str
    captions: list[str] = field(default_factory=list)


class CsvDataset(ListedDataset):
    """Images listed in a table.

    Args:
        options: ``argument`` is the table's path.

    Raises:
        UsageError: without a path.
    """

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(f"csv:{options.argument}", options.files)
        if not options.argument:
            raise UsageError("csv needs a file", "Type --dataset csv:FILE; its first line is path,label")
        self.path = Path(options.argument).expanduser()

    def _list(self) -> Listing:
        _check_file(self.path)
        images = self._read()
        self._check_files(images)
        raw = sorted({image.label for image in images.values()}, key=_class_order)
        if len(raw) < 2:
            raise DataError(
                f"{self.path}: one class only, {raw[0]!r}: expected two or more in the column label"
            )
        classes, notes = pretty_all(raw)
        labels = {name: number for number, name in enumerate(raw)}
        samples = [
            Sample(
                checked_id(path),
                FileImage(self.path.parent / path),
                labels[image.label],
                image.domain,
                tuple(image.captions),
            )
            for path, image in images.items()
        ]
        domains = tuple(sorted({sample.domain for sample in samples} - {""}))
        splits = [image.split for image in images.values()]
        if any(splits):
            chosen = {name: [row for row, split in enumerate(splits) if split == name] for name in SPLITS}
        else:
            strata = [f"{sample.domain}/{raw[sample.label]}" for sample in samples]
            chosen = split_by_key([sample.id for sample in samples], strata, SPLIT_KEY)
            notes = (*notes, SPLIT_NOTE)
        return Listing(
            classes=classes,
            domains=domains,
            samples={name: tuple(samples[row] for row in rows) for name, rows in chosen.items() if rows},
            notes=notes,
        )

    def _read(self) -> dict[str, _Image]:
        images: dict[str, _Image] = {}
        columns: tuple[str, ...] = ()
        for line, row in self._rows():
            columns = tuple(row)
            where = f"{self.path}, line {line}"
            path, label = row["path"], row["label"]
            if not path or not label:
                raise DataError(f"{where}: {'path' if not path else 'label'} is empty")
            if "://" in path:
                raise DataError(
                    f"{where}: {path!r} is an address: expected a file", "Fetch the images first."
                )
            path = PurePosixPath(path).as_posix()
            image = _Image(line, label, row.get("domain", ""), self._split(row.get("split", ""), where))
            first = images.setdefault(path, image)
            caption = row.get("caption", "")
            if first is not image:
                same = (first.label, first.domain, first.split) == (image.label, image.domain, image.split)
                if not same or not caption or caption in first.captions:
                    raise DataError(
                        f"{where}: {path} is there already, in line {first.line}",
                        "A further row of an image may add a caption: label, domain and split stay the same.",
                    )
            if caption:
                first.captions.append(caption)
        if not images:
            raise DataError(
                f"{self.path} has no rows: expected a line {','.join(columns or NEEDED)} and one an image"
            )
        for column, values in {
            "split": [image.split for image in images.values()],
            "domain": [image.domain for image in images.values()],
        }.items():
            if any(values) and not all(values):
                line = next(image.line for image in images.values() if not getattr(image, column))
                share = f"{values.count('')} of {len(values)} images"
                raise DataError(
                    f"{self.path}, line {line}: no {column}, as in {share}",
                    f"Fill the column {column} in every row, or in none.",
                )
        return images

    def _rows(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        """Each row with its line number, fields stripped, header checked."""
        separator = "\t" if self.path.suffix.lower() == ".tsv" else ","
        try:
            # utf-8-sig: spreadsheets put a mark at the front.
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter=separator, strict=True)
                header = [name.strip().lower() for name in next(reader, [])]
                self._check_header(header, separator)
                for fields in reader:
                    if not any(text.strip() for text in fields):
                        continue
                    if len(fields) != len(header):
                        raise DataError(
                            f"{self.path}, line {reader.line_num}: {len(fields)} fields, expected "
                            f"{len(header)} ({','.join(header)})",
                            f"A field that holds {separator!r} stands in double quotes.",
                        )
                    yield reader.line_num, dict(zip(header, (text.strip() for text in fields), strict=True))
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path} is not UTF-8 ({error.reason} at byte {error.start})") from error
        except csv.Error as error:
            raise DataError(f"{self.path}, line {reader.line_num}: {error}") from error

    def _check_header(self, header: list[str], separator: str) -> None:
        missing = [name for name in NEEDED if name not in header]
        if missing:
            close = " ".join(
                filter(None, (nearest(name, COLUMNS, 1) for name in header if name not in COLUMNS))
            )
            raise DataError(
                f"{self.path}, line 1: no column {' and '.join(missing)} in {separator.join(header)!r}: "
                f"expected {','.join(NEEDED)} and, if you like, {','.join(COLUMNS[2:])}",
                close,
            )
        if len(set(header)) != len(header):
            raise DataError(f"{self.path}, line 1: a column is there twice in {separator.join(header)!r}")

    def _split(self, text: str, where: str) -> str:
        if not text:
            return ""
        split = SPLIT_FOLDERS.get(text.lower())
        if split is None:
            raise DataError(f"{where}: split {text!r}: expected {', '.join(SPLITS)}", nearest(text, SPLITS))
        return split

    def _check_files(self, images: Mapping[str, _Image]) -> None:
        folder = os.fspath(self.path.parent)
        gone = [
            (path, image.line)
            for path, image in images.items()
            if not os.path.isfile(os.path.join(folder, path))
        ]
        if gone:
            listed = some([f"{path} (line {line})" for path, line in gone])
            hint = f"Paths are relative to {self.path.parent.absolute()}."
            if any("\\" in path for path, _ in gone):
                hint += " Write them with forward slashes."
            raise DataError(
                f"{self.path}: {len(images) - len(gone)} of {len(images)} images found; missing: {listed}",
                hint,
            )


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder: expected a CSV file", f"Type folder:{path}")
    if not path.is_file():
        around = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise MissingError(
            f"{path.absolute()} does not exist: expected a CSV file with the columns path,label",
            nearest(path.name, around),
        )


def _class_order(name: str) -> tuple[int, int, str]:
    """Numbers by value before words, so that label 10 comes after label 9."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
