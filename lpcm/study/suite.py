"""Study files of several parts: one file, one command, one folder. Refuses to mix the rows of two parts.

A file with ``[[part]]`` tables is a suite: each part is a study of its own with a ``name``; what stands above the
parts holds for all of them unless a part says otherwise. The files in ``lpcm/studies`` come with the package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from lpcm.errors import UsageError, nearest
from lpcm.study.layers import joined
from lpcm.study.spec import Study

PARTS = "part"
_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*\Z")


@dataclass(frozen=True)
class Part:
    """One study of a suite.

    Args:
        name: of its folder; empty for the only part of a plain study file.
        study: as asked.
    """

    name: str
    study: Study


def packaged() -> Mapping[str, Path]:
    """Study files that come with lpcm, by name."""
    folder = Path(str(files("lpcm") / "studies"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_study(text: Path) -> Path:
    """The study file that a user named: a path, or else one that comes with lpcm.

    Raises:
        UsageError: when there is neither.
    """
    if text.exists():
        return text
    known = packaged()
    if text.name.removesuffix(".toml") in known and text.parent.name in ("", "studies"):
        return known[text.name.removesuffix(".toml")]
    raise UsageError(
        f"study file {text}: no such file, and lpcm brings no study of that name",
        nearest(text.name.removesuffix(".toml"), known) or f"it brings: {', '.join(known)}",
    )


def is_suite(values: Mapping[str, Any]) -> bool:
    """Whether raw values of a study file are those of a suite."""
    return PARTS in values


def parts_of(values: Mapping[str, Any], changes: Mapping[str, Any], source: str) -> tuple[Part, ...]:
    """The parts of a suite.

    Args:
        values: raw values of the file.
        changes: fields that flags replace in every part.
        source: where they come from, for errors.

    Raises:
        UsageError: for a part without a name, two of one name, or fields that a study does not have.
    """
    shared = {name: value for name, value in values.items() if name != PARTS}
    tables = values[PARTS]
    if not isinstance(tables, list) or not tables or not all(isinstance(t, Mapping) for t in tables):
        raise UsageError(f"{source}: {PARTS} is {tables!r}: expected one or more [[{PARTS}]] tables")
    found: list[Part] = []
    for place, table in enumerate(tables, 1):
        name = table.get("name")
        if not isinstance(name, str) or not _NAME.match(name):
            raise UsageError(
                f"{source}: part {place} has name {name!r}: expected a word such as 'few-shot'",
                "give each [[part]] a name of small letters, digits and dashes",
            )
        if any(part.name == name for part in found):
            raise UsageError(f"{source}: two parts are called {name!r}")
        own = {key: value for key, value in table.items() if key != "name"}
        where = f"{source}, part {name!r}"
        found.append(Part(name, Study.parse(joined(where, shared, own, changes), where)))
    return tuple(found)
