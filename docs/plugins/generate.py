"""Fills the generated parts of these pages from the code: hooks, records, contracts, checks, built-in names.

``python docs/plugins/generate.py`` rewrites them; ``tests/plugins/test_docs.py`` fails when they are behind.
Refuses to touch anything outside of its markers.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from typing import Any

from lpcm import builtin
from lpcm.plugin import contracts, hookspecs, trainable, truth
from lpcm.plugin.records import RECORD_TYPES, Kind, Record
from lpcm.testing import catalogue, simulation

FOLDER = Path(__file__).resolve().parent
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Source|Example):")
_SINCE = re.compile(r"\s*Since (\d+\.\d+)\.")

# What a plugin of each kind gives, by the name of its protocol, and what else belongs to it.
PROTOCOLS: dict[Kind, tuple[str, ...]] = {
    Kind.ENCODER: (
        *("EncoderOptions", "Encoder", "StoredFeatures", "Preprocess", "Canary"),
        *("Trainable", "TrainableTower"),
    ),
    Kind.GEOMETRY: ("Geometry",),
    Kind.DISENTANGLER: ("Disentangler",),
    Kind.ADAPTER: ("Adapter", "TextPrompts"),
    Kind.TASK: (
        *("Task", "Bench", "Fitted", "Score", "Truth", "Roster", "Partition", "Captions"),
        *("Simulation", "Laboratory", "Finding"),
    ),
    Kind.DATASET: ("DatasetOptions", "Dataset", "Sample", "ImageSource", "Factors", "FactorKind"),
    Kind.METRIC: ("Metric",),
}


def page(text: str, kind: Kind | None) -> str:
    """The text of a page with its generated parts made anew."""

    def part(match: re.Match[str]) -> str:
        made = PARTS[match[2]](kind).replace("``", "`")  # docstrings are reStructuredText
        return f"{match[1]}\n{made}\n\n{match[3]}"

    return _PART.sub(part, text)


def pages() -> Iterable[tuple[Path, Kind | None]]:
    """Every page, with the kind that it is about."""
    yield FOLDER / "index.md", None
    for kind in Kind:
        yield FOLDER / f"{kind.value}.md", kind


def hooks(_: Kind | None) -> str:
    """The table of hooks."""
    rows = []
    for name in sorted(name for name in vars(hookspecs) if name.startswith("lpcm_")):
        text = inspect.getdoc(getattr(hookspecs, name)) or ""
        since = _SINCE.search(text)
        kind = next((k for k in Kind if k.hook == name), None)
        yields = (
            f"[`{RECORD_TYPES[kind].__name__}`]({kind.value}.md)" if kind else "nothing; gets a `RunRecord`"
        )
        rows.append((f"`{name}`", yields, since[1] if since else "", _SINCE.sub("", text).strip()))
    return _table(("hook", "yields", "since", "what it is for"), rows)


def record(kind: Kind | None) -> str:
    """The fields of a kind's record."""
    assert kind is not None
    told = _arguments(Record) | _arguments(RECORD_TYPES[kind])
    rows = []
    for f in fields(RECORD_TYPES[kind]):
        default = "needed" if f.default is MISSING else f"`{_shown(f.default)}`"
        rows.append(
            (f"`{f.name}`", f"`{f.type}`".replace("|", "\\|"), default, told.get(f.name, "see above"))
        )
    return _table(("field", "type", "default", "meaning"), rows)


def contract(kind: Kind | None) -> str:
    """The protocol of a kind, member by member."""
    assert kind is not None
    blocks = []
    for name in PROTOCOLS[kind]:
        thing = next(getattr(home, name) for home in (contracts, truth, trainable) if hasattr(home, name))
        text = inspect.getdoc(thing) or ""
        summary, *more = text.split("\n\n")
        told = [paragraph for paragraph in more if not _SECTION.match(paragraph)]
        rows = [(f"`{member}`", meaning) for member, meaning in _arguments(thing).items()]
        for member, value in vars(thing).items():
            if (inspect.isfunction(value) and not member.startswith("_")) or (
                member == "__call__" and _declares(thing)
            ):
                first = (inspect.getdoc(value) or "").partition("\n\n")[0]
                arguments = ", ".join(list(inspect.signature(value).parameters)[1:])
                rows.append((f"`{member}({arguments})`", " ".join(first.split())))
        if issubclass(thing, Enum):
            rows = [(f"`{member.name}`", f"`{member.value}`") for member in thing]
        table = _table(("member", "meaning"), rows)
        blocks.append("\n\n".join([f"**`{name}`** {' '.join(summary.split())}", table, *told]))
    return "\n\n".join(blocks)


def checks(kind: Kind | None) -> str:
    """The named checks of a kind."""
    assert kind is not None
    return _table(("check", "claim"), [(f"`{name}`", claim) for name, claim in catalogue()[kind]])


def simulation_checks(_: Kind | None) -> str:
    """The named checks of a task that makes its own data."""
    claims = [
        (f"`{check.__name__}`", (check.__doc__ or "").strip().splitlines()[0]) for check in simulation.CHECKS
    ]
    return _table(("check", "claim"), claims)


def builtins(kind: Kind | None) -> str:
    """What lpcm itself offers of a kind."""
    assert kind is not None
    rows = []
    for offered in getattr(builtin, kind.hook)():
        name = f"`{offered.name}:{offered.takes}`" if offered.takes else f"`{offered.name}`"
        settings = ", ".join(f"`{param.name}`" for param in offered.params)
        rows.append((name, offered.summary, settings, offered.source))
    rows.sort()
    return _table(("name", "what it is", "settings", "source"), rows) if rows else "None yet."


PARTS: dict[str, Callable[[Kind | None], str]] = {
    "hooks": hooks,
    "record": record,
    "contract": contract,
    "checks": checks,
    "simulation_checks": simulation_checks,
    "builtins": builtins,
}


def _declares(thing: type) -> bool:
    return "__call__" in vars(thing) and getattr(thing, "_is_protocol", False)


def _arguments(thing: type) -> dict[str, str]:
    """What the ``Args:`` or ``Attributes:`` part of a docstring says of each name."""
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in (inspect.getdoc(thing) or "").splitlines():
        if line in ("Args:", "Attributes:"):
            inside = True
        elif line and not line.startswith(" "):
            inside = False
        elif inside and (match := re.match(r"    ([\w, ]+): (.*)", line)):
            name = match[1]
            found[name] = match[2]
        elif inside and line.strip():
            found[name] += f" {line.strip()}"
    return {part.strip(): text for names, text in found.items() for part in names.split(",")}


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_shown(v) for v in value) + ("," if len(value) == 1 else "") + ")"
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


if __name__ == "__main__":
    for path, about in pages():
        path.write_text(page(path.read_text(encoding="utf-8"), about), encoding="utf-8")
