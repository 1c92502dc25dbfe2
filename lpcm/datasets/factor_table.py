"""``factors:PATH``: pictures with a table of their factors. Refuses rows that are incomplete or name no file.

PATH is a folder with ``factors.csv`` (or one CSV file only), or the CSV file itself. Columns: ``file`` (relative to
the table); optional ``split`` (train, val, test), ``label`` (the class), ``caption``; all others are factors, see
``lpcm.datasets.factor_columns``. ``factors.json`` beside the table may say more, each part optional:

    {"kinds": {"size": "continuous", "phi": {"kind": "angle", "turn": 360}}, "label": "shape", "ignore": ["camera"]}

Without a column ``label`` the class is the factor that ``label`` names, else the first categorical one; without
any, all pictures are of one class. ``?label=NAME`` behind the path goes before both.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lpcm.datasets.factor_columns import Column, Told, base_name, read_column, read_told
from lpcm.datasets.factored import FactoredDataset, FactorListing, make_factors
from lpcm.datasets.folder import SPLIT_FOLDERS, SPLIT_KEY, SPLIT_NOTE
from lpcm.datasets.listing import SPLITS
from lpcm.datasets.names import checked_id, pretty_all, some
from lpcm.datasets.sources import FileImage
from lpcm.datasets.splits import split_by_key
from lpcm.errors import DataError, MissingError, UsageError, nearest
from lpcm.plugin.contracts import DatasetOptions, Sample
from lpcm.plugin.truth import FactorKind, Factors

TABLE, SETTINGS = "factors.csv", "factors.json"
_OWN = ("file", "split", "label", "caption")
_ASKED = re.compile(r"\?label=([^?]*)\Z")
_ONLY = "picture"  # the class of all pictures where nothing tells them apart


@dataclass(frozen=True)
class _Settings:
    """What ``factors.json`` says."""

    kinds: Mapping[str, Told]
    label: str = ""
    ignore: tuple[str, ...] = ()


class FactorTable(FactoredDataset):
    """Pictures with a table of their factors.

    Args:
        options: ``argument`` is the path, with ``?label=NAME`` behind it when the class is to be decided. A
            relative path that is not there is looked for under ``root`` too.

    Raises:
        UsageError: without a path.
    """

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(f"factors:{options.argument}", options.files, templates=("a picture of a {}.",))
        match = _ASKED.search(options.argument)
        text = options.argument[: match.start()] if match else options.argument
        if not text:
            raise UsageError("factors needs a path", f"Type --dataset factors:FOLDER; in it lies {TABLE}")
        path, under = Path(text).expanduser(), options.root / text
        self.path = under if not path.exists() and under.exists() else path
        self._asked = match[1] if match else ""

    def _list(self) -> FactorListing:
        table = find_table(self.path)
        lines, columns = read_table(table)
        settings = _read_settings(table.parent / SETTINGS, [name for name in columns if name not in _OWN])
        factors, notes = self._columns(table, columns, settings)
        labels, classes, more = self._classes(table, columns, factors, settings)
        files = [PurePosixPath(name).as_posix() for name in columns["file"]]
        _check_files(table, files, lines)
        captions = columns.get("caption", [""] * len(files))
        samples = [
            Sample(
                checked_id(name),
                FileImage(table.parent / name),
                label,
                captions=(caption,) if caption else (),
            )
            for name, label, caption in zip(files, labels, captions, strict=True)
        ]
        rows, split_notes = _split(table, columns.get("split"), lines, samples, classes)
        return FactorListing(
            classes=classes,
            samples={split: tuple(samples[row] for row in chosen) for split, chosen in rows.items()},
            factors=factors_of(factors, rows),
            notes=(*notes, *more, *split_notes),
        )

    def _columns(
        self, table: Path, columns: Mapping[str, list[str]], settings: _Settings
    ) -> tuple[list[Column], tuple[str, ...]]:
        names = [name for name in columns if name not in _OWN and base_name(name) not in settings.ignore]
        found = [
            read_column(name, columns[name], settings.kinds.get(base_name(name)), str(table))
            for name in names
        ]
        factors = [column for column in found if column.varies]
        if not factors:
            raise DataError(
                f"{table} has no factor that varies: its columns are {', '.join(columns)}",
                "Every column but file, split, label and caption is one.",
            )
        still = [column.name for column in found if not column.varies]
        return factors, ((f"without {some(still)}: one value in all pictures",) if still else ())

    def _classes(
        self, table: Path, columns: Mapping[str, list[str]], factors: list[Column], settings: _Settings
    ) -> tuple[list[int], tuple[str, ...], tuple[str, ...]]:
        """Label of each row, class names, and a note where they were not given."""
        wanted = self._asked or ("" if "label" in columns else settings.label)
        categorical = [column for column in factors if column.kind is FactorKind.CATEGORICAL]
        note: tuple[str, ...] = ()
        if "label" in columns and not wanted:
            column = read_column("label", columns["label"], Told(FactorKind.CATEGORICAL), str(table))
        elif wanted:
            known = {column.name: column for column in categorical}
            if wanted not in known:
                raise UsageError(
                    f"{self.name}: label {wanted!r}: categorical factors are {', '.join(known) or 'none'}",
                    nearest(wanted, known),
                )
            column = known[wanted]
        elif categorical:
            column = categorical[0]
            note = (f"label: the factor {column.name} (no column label)",)
        else:
            return (
                [0] * len(columns["file"]),
                (_ONLY,),
                ("no categorical factor: all pictures are of one class",),
            )
        classes, more = pretty_all(column.words)
        return [int(value) for value in column.values], classes, (*note, *more)


def factors_of(columns: Sequence[Column], rows: Mapping[str, list[int]]) -> dict[str, Factors]:
    """Tables of factors, one a split.

    Args:
        columns: f factors.
        rows: of each split.
    """
    import numpy as np

    values = np.array([column.values for column in columns]).T
    names, kinds = [column.name for column in columns], [column.kind for column in columns]
    return {split: make_factors(names, kinds, values[chosen]) for split, chosen in rows.items()}


def find_table(path: Path) -> Path:
    """The CSV file that a path means.

    Raises:
        MissingError: when there is none.
        DataError: when there are several and none is ``factors.csv``.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        around = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise MissingError(
            f"{path.absolute()} does not exist: expected a folder with {TABLE}", nearest(path.name, around)
        )
    if (path / TABLE).is_file():
        return path / TABLE
    tables = sorted(path.glob("*.csv"))
    if not tables:
        raise MissingError(
            f"{path} has no {TABLE}: expected a table with the columns file,FACTOR,FACTOR,...",
            f"Its first line is for example file,shape,hue[deg],size; class folders are read by folder:{path}",
        )
    if len(tables) > 1:
        raise DataError(
            f"{path} has {len(tables)} tables, {some([table.name for table in tables])}: which one is unclear",
            f"Type factors:{tables[0]}, or call one {TABLE}",
        )
    return tables[0]


def read_table(table: Path, needed: str = "file") -> tuple[list[int], dict[str, list[str]]]:
    """Columns of a CSV file by their name, and the line of each row.

    Args:
        table: the file.
        needed: a column that must be there; empty for none.

    Raises:
        DataError: when it is not a table, with the line.
    """
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        # utf-8-sig: spreadsheets put a mark at the front.
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            header = [name.lower() if name.lower() in _OWN else name for name in header]
            for fields in reader:
                if any(text.strip() for text in fields):
                    rows.append([text.strip() for text in fields])
                    lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise DataError(f"{table} is not UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: {error}") from error
    _check_header(table, header, needed)
    if not rows:
        raise DataError(f"{table} has no rows: expected one a picture")
    for line, fields in zip(lines, rows, strict=True):
        if len(fields) != len(header):
            raise DataError(
                f"{table}, line {line}: {len(fields)} fields, expected {len(header)} ({','.join(header)})",
                "A field that holds ',' stands in double quotes.",
            )
    return lines, {name: [fields[place] for fields in rows] for place, name in enumerate(header)}


def _check_header(table: Path, header: list[str], needed: str) -> None:
    if needed and needed not in header:
        raise DataError(
            f"{table}, line 1: no column {needed} in {','.join(header)!r}: expected {needed},FACTOR,FACTOR,...",
            "Separate columns by commas." if len(header) == 1 else "",
        )
    bases = [base_name(name) for name in header]
    twice = [name for name in bases if not name or bases.count(name) > 1]
    if twice:
        what = f"column {twice[0]!r} is there twice" if twice[0] else "a column has no name"
        raise DataError(f"{table}, line 1: {what} in {','.join(header)!r}")


def _read_settings(file: Path, headers: list[str]) -> _Settings:
    if not file.is_file():
        return _Settings({})
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is not JSON ({error})") from error
    match content:
        case {**entries} if not set(entries) - {"kinds", "label", "ignore"}:
            kinds, label, ignore = (
                entries.get("kinds", {}),
                entries.get("label", ""),
                entries.get("ignore", []),
            )
        case _:
            raise DataError(
                f'{file}: expected {{"kinds": {{...}}, "label": "...", "ignore": [...]}}, each optional'
            )
    if not isinstance(kinds, dict) or not isinstance(label, str) or not isinstance(ignore, list):
        raise DataError(f"{file}: expected kinds to be an object, label a text and ignore a list")
    known = [base_name(name) for name in headers]
    for name in (*kinds, *ignore):
        if name not in known:
            raise DataError(
                f"{file} names {name!r}: columns are {', '.join(known)}", nearest(str(name), known)
            )
    told = {name: read_told(value, f"{file}: kinds[{name!r}]") for name, value in kinds.items()}
    return _Settings(told, label, tuple(ignore))


def _check_files(table: Path, files: list[str], lines: list[int]) -> None:
    folder = os.fspath(table.parent)
    gone = [
        f"{name or 'no name'} (line {line})"
        for name, line in zip(files, lines, strict=True)
        if not os.path.isfile(os.path.join(folder, name))
    ]
    if gone:
        raise DataError(
            f"{table}: {len(files) - len(gone)} of {len(files)} pictures found; missing: {some(gone)}",
            f"Paths are relative to {table.parent.absolute()}, with forward slashes.",
        )


def _split(
    table: Path, column: list[str] | None, lines: list[int], samples: list[Sample], classes: tuple[str, ...]
) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    if column is None or not any(column):
        strata = [classes[sample.label] for sample in samples]
        return split_by_key([sample.id for sample in samples], strata, SPLIT_KEY), (SPLIT_NOTE,)
    rows: dict[str, list[int]] = {split: [] for split in SPLITS}
    for row, (text, line) in enumerate(zip(column, lines, strict=True)):
        split = SPLIT_FOLDERS.get(text.lower())
        if split is None:
            raise DataError(
                f"{table}, line {line}: split {text!r}: expected {', '.join(SPLITS)} in every row, or in none",
                nearest(text, SPLITS),
            )
        rows[split].append(row)
    return rows, ()
