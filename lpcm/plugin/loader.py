"""Loads one plugin: imports it under guard, checks its hooks, collects its records. All or nothing."""

from __future__ import annotations

import importlib.util
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from lpcm.errors import UsageError, nearest
from lpcm.plugin import hookspecs
from lpcm.plugin.guard import changed_generators, forbid_network, random_states
from lpcm.plugin.records import RECORD_TYPES, Kind, Record

SLOW_SECONDS = 0.5
"""A plugin that takes longer to import makes every command wait, and is told so."""


class Status(str, Enum):
    """What became of a plugin."""

    OK = "ok"
    BROKEN = "broken"
    BLOCKED = "blocked"
    INCOMPATIBLE = "incompatible"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class PluginState:
    """A plugin as ``lpcm-eval plugins`` shows it.

    Args:
        name: entry-point name: what a user types to leave it out.
        dist: distribution that it came in.
        version: of the distribution; ``"file"`` for a one-file plugin.
        status: what became of it.
        reason: why it is not ok, in a sentence.
        notes: what its author should know although it works, for example a slow import.
        traceback: where it failed.
        seconds: time that importing it took.
        records: what it offers; empty unless ok or in conflict.
    """

    name: str
    dist: str
    version: str
    status: Status
    reason: str = ""
    notes: tuple[str, ...] = ()
    traceback: str = ""
    seconds: float = 0.0
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A plugin before it is imported."""

    name: str
    dist: str
    version: str
    load: Callable[[], Any]
    is_file: bool = False

    @classmethod
    def from_entry_point(cls, point: EntryPoint) -> Candidate:
        """The plugin that an installed entry point names."""
        dist = point.dist
        return cls(
            point.name, dist.name if dist else point.module, dist.version if dist else "unknown", point.load
        )

    def state(self, status: Status, reason: str = "", **more: Any) -> PluginState:
        """A state of this plugin."""
        return PluginState(self.name, self.dist, self.version, status, reason, **more)


class _Unfit(Exception):  # noqa: N818  (private: carries a sentence out of the checks below)
    """The plugin does not keep to the interface."""


def candidate_from_file(path: Path) -> Candidate:
    """A one-file plugin; its module name is the file's stem, so that the same file can be packaged unchanged.

    Raises:
        UsageError: when the file is not there, is no Python file, or its name hides another module.
    """
    path = path.expanduser()
    if not path.is_file() or path.suffix != ".py" or not path.stem.isidentifier():
        raise UsageError(
            f"--plugin {path}: expected an existing Python file whose name is an identifier",
            "for example ./my_encoder.py",
        )
    path = path.resolve()
    spec = importlib.util.find_spec(path.stem)
    if spec is not None and (spec.origin is None or Path(spec.origin).resolve() != path):
        raise UsageError(f"--plugin {path}: a module called {path.stem!r} exists already", "rename the file")

    def load() -> ModuleType:
        # Worker processes import the module by name, from the same path.
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        return importlib.import_module(path.stem)

    return Candidate(path.stem, path.stem, "file", load, is_file=True)


def load_candidate(candidate: Candidate) -> tuple[PluginState, Any]:
    """Import a plugin and collect its records; returns its state and the module (``None`` unless ok)."""
    start = time.perf_counter()
    before = random_states()
    module: Any = None
    try:
        # What a module prints while it is imported would get into the JSON of a command.
        with forbid_network() as tried, redirect_stdout(sys.stderr):
            module = candidate.load()
            _check_api(module)
            unknown = _check_hooks(module)
            records = _records(module)
        if tried:
            raise _Unfit(f"tried to reach the network while being imported ({', '.join(sorted(set(tried)))})")
        touched = changed_generators(before, random_states())
        if touched:
            raise _Unfit(f"changed the global random state of {', '.join(touched)} while being imported")
    except _Newer as error:
        return candidate.state(Status.INCOMPATIBLE, str(error), seconds=time.perf_counter() - start), None
    except _Unfit as error:
        return candidate.state(Status.BROKEN, str(error), seconds=time.perf_counter() - start), None
    except (Exception, SystemExit) as error:  # whatever an outsider's module does, the others go on
        reason = f"{type(error).__name__}: {error}"
        trace = traceback.format_exc()
        return candidate.state(
            Status.BROKEN, reason, traceback=trace, seconds=time.perf_counter() - start
        ), None

    seconds = time.perf_counter() - start
    notes = [f"hook {name!r} is newer than this lpcm and is not called" for name in unknown]
    if seconds > SLOW_SECONDS:
        notes.append(
            f"importing it took {seconds:.1f} s: name loaders lazily as 'module:attr' instead of importing them"
        )
    return candidate.state(Status.OK, notes=tuple(notes), seconds=seconds, records=records), module


class _Newer(Exception):  # noqa: N818
    """The plugin was written for a newer interface."""


def _check_api(module: Any) -> None:
    api = getattr(module, "LPCM_API", hookspecs.API)
    if not (isinstance(api, tuple) and len(api) == 2 and all(isinstance(part, int) for part in api)):
        raise _Unfit(f"LPCM_API is {api!r}: expected a pair of integers such as {hookspecs.API}")
    if api[0] > hookspecs.API[0]:
        raise _Newer(
            f"written for plugin interface {api[0]}.{api[1]}, this lpcm has {hookspecs.API[0]}.{hookspecs.API[1]}: "
            "upgrade lpcm"
        )


def _check_hooks(module: Any) -> list[str]:
    """Refuse hooks that do not exist or do not fit; return those that a newer minor interface may know."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    known = [name for name in vars(hookspecs) if name.startswith("lpcm_")]
    for name in dir(module):
        if (
            name in known
            and callable(getattr(module, name))
            and manager.parse_hookimpl_opts(module, name) is None
        ):
            raise _Unfit(f"{name} is not marked: write @lpcm.plugin.hookimpl above it")
    marked = [name for name in dir(module) if manager.parse_hookimpl_opts(module, name) is not None]
    unknown = [name for name in marked if name not in known]
    newer_minor = getattr(module, "LPCM_API", hookspecs.API)[1] > hookspecs.API[1]
    if unknown and not newer_minor:
        hint = nearest(unknown[0], known)
        raise _Unfit(
            f"unknown hook {unknown[0]!r}"
            + (f": {hint}" if hint else f": known are {', '.join(sorted(known))}")
        )
    if not marked:
        raise _Unfit(f"implements no hook: known are {', '.join(sorted(known))}")
    try:
        manager.register(module)
    except pluggy.PluginValidationError as error:
        raise _Unfit(str(error).replace("\n", " ")) from error
    return unknown


def _records(module: Any) -> tuple[Record, ...]:
    records: list[Record] = []
    for kind in Kind:
        hook = getattr(module, kind.hook, None)
        if hook is None:
            continue
        expected = RECORD_TYPES[kind]
        given = hook()
        if isinstance(given, Record) or not hasattr(given, "__iter__"):
            raise _Unfit(
                f"{kind.hook} returned {type(given).__name__}: expected to yield {expected.__name__}"
            )
        for record in given:
            if not isinstance(record, expected):
                raise _Unfit(f"{kind.hook} yielded {type(record).__name__}: expected {expected.__name__}")
            if any(r.kind is kind and r.name == record.name for r in records):
                raise _Unfit(f"{kind.hook} yielded {kind.value} {record.name!r} twice")
            records.append(record)
    return tuple(records)
