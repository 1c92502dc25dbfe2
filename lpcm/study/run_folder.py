"""A run's folder: the study, its rows, their summary and the per-sample outcomes, all readable without lpcm.

study.toml          what was asked
rows.jsonl          one row a cell
summary.jsonl       one row a group of seeds
outcomes/KEY.safetensors    per-sample outcomes and predictions of a cell
exhibits/KEY/NAME           pictures and tables of a cell
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpcm.errors import UsageError
from lpcm.store.atomic import write_bytes
from lpcm.store.results import StoredRow
from lpcm.study.spec import Study
from lpcm.study.told import completed

PARTS = "parts.json"


@dataclass(frozen=True)
class Finished:
    """The rows of a run and their summary."""

    rows: tuple[dict[str, Any], ...]
    summary: tuple[dict[str, Any], ...]


class RunFolder:
    """Writes one run.

    Args:
        path: its folder; it is made here.
        study: what was asked.

    Raises:
        UsageError: when the folder belongs to something else.
    """

    def __init__(self, path: Path, study: Study) -> None:
        self.path = path
        if path.exists() and (
            not path.is_dir() or (any(path.iterdir()) and not (path / "study.toml").exists())
        ):
            raise UsageError(f"{path} is not the folder of a run", "give --out a new or empty folder")
        path.mkdir(parents=True, exist_ok=True)
        _write_if_changed(path / "study.toml", study.to_toml())

    def save_rows(self, rows: Sequence[StoredRow | dict[str, Any]]) -> None:
        """Write the rows known so far and copy their outcomes."""
        lines = [
            row.text if isinstance(row, StoredRow) else json.dumps(row, ensure_ascii=False) for row in rows
        ]
        _write_if_changed(self.path / "rows.jsonl", "".join(line + "\n" for line in lines))
        for row in rows:
            if isinstance(row, StoredRow):
                key = row.row["key"]
                _copy_if_changed(row.outcomes, self.path / "outcomes" / f"{key}.safetensors")
                for exhibit in row.exhibits:
                    _copy_if_changed(exhibit, self.path / "exhibits" / key / exhibit.name)

    def finish(
        self, rows: Sequence[StoredRow | dict[str, Any]], pooled: Mapping[str, str] | None = None
    ) -> Finished:
        """Write all rows and their summary; ``pooled`` is the axis of each task that averages over one."""
        from lpcm.study.summary import summarise

        self.save_rows(rows)
        plain = tuple(row.row if isinstance(row, StoredRow) else row for row in rows)
        outcomes = {row.row["key"]: row.outcomes for row in rows if isinstance(row, StoredRow)}
        summary = summarise(plain, outcomes, pooled)
        _write_if_changed(
            self.path / "summary.jsonl",
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in summary),
        )
        return Finished(plain, summary)


def read_run(path: Path) -> Finished:
    """Read a run's rows and summary.

    Raises:
        UsageError: when the folder is no run or is not finished.
    """
    if not (path / "study.toml").exists():
        raise UsageError(
            f"{path} is not the folder of a run", "a run's folder holds study.toml and rows.jsonl"
        )
    rows, summary = _read_lines(path / "rows.jsonl"), _read_lines(path / "summary.jsonl")
    if not rows:
        raise UsageError(
            f"the run in {path} has no rows yet",
            f"go on with it: lpcm-eval run {path / 'study.toml'} --out {path}",
        )
    return Finished(rows, completed(summary, rows))


def write_parts(home: Path, names: Sequence[str]) -> None:
    """Note the parts of a suite in its folder, in their order; each is a run in a folder of its name.

    Raises:
        UsageError: when the folder belongs to something else.
    """
    if home.exists() and (not home.is_dir() or (any(home.iterdir()) and not (home / PARTS).exists())):
        raise UsageError(f"{home} is not the folder of a suite", "give --out a new or empty folder")
    home.mkdir(parents=True, exist_ok=True)
    _write_if_changed(home / PARTS, json.dumps(list(names)) + "\n")


def parts_in(path: Path) -> tuple[str, ...]:
    """Names of the parts of a suite that have a folder, in their order; none for the folder of a run."""
    if not (path / PARTS).exists():
        return ()
    names: list[str] = json.loads((path / PARTS).read_text(encoding="utf-8"))
    return tuple(name for name in names if (path / name / "study.toml").exists())


def _read_lines(path: Path) -> tuple[dict[str, Any], ...]:
    if not path.exists():
        return ()
    try:
        return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    except ValueError as error:
        raise UsageError(
            f"{path} is damaged: {error}", "run the study again: finished cells are kept"
        ) from None


def _write_if_changed(path: Path, text: str) -> None:
    data = text.encode()
    if not path.exists() or path.read_bytes() != data:
        write_bytes(path, data)


def _copy_if_changed(source: Path, target: Path) -> None:
    """Copy a kept file; those of one key never change, so an equal size says that it is there whole."""
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    shutil.copyfile(source, partial)
    partial.replace(target)
