"""The host: finds plugins, loads them one by one, and answers which record a name stands for.

A plugin that fails is a state that can be shown, never a crash. There is no global host:
the command line makes one, a test makes its own.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

import pluggy

from lpcm.errors import LpcmError, MissingError, UsageError, nearest
from lpcm.plugin import hookspecs
from lpcm.plugin.loader import Candidate, PluginState, Status, candidate_from_file, load_candidate
from lpcm.plugin.records import Kind, Record, RunRecord

CORE = "core"
"""Entry-point name of the built-ins, which come through the same door as everything else."""

# Names that a distribution of this project offers, so that a miss can say what to install.
_OFFERED_BY = {
    (Kind.ENCODER, "lite0"): "lpcm-lite",
    (Kind.ENCODER, "lite0-raw"): "lpcm-lite",
    (Kind.ENCODER, "lite0-heads"): "lpcm-lite",
    (Kind.ENCODER, "lite0-mix"): "lpcm-lite",
    (Kind.DATASET, "emoji"): "lpcm-lite",
    (Kind.DATASET, "icons"): "lpcm-lite",
    (Kind.DATASET, "drawn-names"): "lpcm-lite",
    (Kind.GEOMETRY, "torus"): "lpcm-torus",
}


@dataclass(frozen=True)
class Offer:
    """A record and the plugin that announced it.

    Args:
        record: what is offered.
        plugin: entry-point name of the plugin.
        dist: distribution of the plugin; for a one-file plugin the file's stem.
        unique: whether the short name stands for this record alone.
    """

    record: Record
    plugin: str
    dist: str
    unique: bool = True

    @property
    def full_name(self) -> str:
        """``dist:name``, which always works."""
        return f"{self.dist}:{self.record.name}"

    @property
    def shortest_name(self) -> str:
        """The short name, or the full one where another distribution offers the same."""
        return self.record.name if self.unique else self.full_name


@dataclass(frozen=True)
class Found:
    """What a user's text stands for: an offer, and what followed the colon."""

    offer: Offer
    argument: str

    @property
    def record(self) -> Record:
        """The record that was found."""
        return self.offer.record

    @property
    def name(self) -> str:
        """The text that finds this again."""
        head = self.offer.shortest_name
        return f"{head}:{self.argument}" if self.argument else head


class PluginHost:
    """The plugins of one process: their states and what they offer.

    Build it with :meth:`discover`.

    Attributes:
        states: one :class:`PluginState` a plugin, in order of loading.
    """

    def __init__(self, states: Sequence[PluginState], modules: dict[str, Any]) -> None:
        self.states = tuple(_with_conflicts(states))
        self._offers: dict[Kind, list[Offer]] = defaultdict(list)
        for state in self.states:
            for record in state.records:
                rivals = _rivals(self.states, record, state)
                self._offers[record.kind].append(Offer(record, state.name, state.dist, unique=not rivals))
        self._manager = pluggy.PluginManager(hookspecs.GROUP)
        self._manager.add_hookspecs(hookspecs)
        for name, module in modules.items():
            self._manager.register(module, name=name)

    @classmethod
    def discover(
        cls,
        *,
        only: Sequence[str] | None = None,
        without: Sequence[str] = (),
        files: Sequence[Path] = (),
        strict: bool | None = None,
        found: Iterable[EntryPoint] | None = None,
    ) -> PluginHost:
        """Load the installed plugins.

        Args:
            only: names of the plugins to load besides the built-ins; ``None`` takes ``LPCM_PLUGINS``
                (comma-separated; the empty string loads none) or else all.
            without: names of plugins or distributions that are not even imported.
            files: one-file plugins.
            strict: raise for a plugin that is not ok; ``None`` asks ``LPCM_STRICT_PLUGINS=1``.
            found: entry points to use instead of the installed ones.

        Raises:
            UsageError: for a name in ``without`` that no plugin has, or a file that cannot be a plugin.
            LpcmError: for a broken plugin when ``strict``.
        """
        if only is None and (variable := os.environ.get("LPCM_PLUGINS")) is not None:
            only = [name.strip() for name in variable.split(",") if name.strip()]
        if strict is None:
            strict = os.environ.get("LPCM_STRICT_PLUGINS") == "1"
        points = entry_points(group=hookspecs.GROUP) if found is None else found
        candidates = [Candidate.from_entry_point(point) for point in points]
        candidates.sort(
            key=lambda c: (c.name != CORE, c.dist, c.name)
        )  # an order that no file system decides
        candidates += [
            candidate_from_file(path) for path in dict.fromkeys(p.expanduser().resolve() for p in files)
        ]
        _refuse_unknown(without, candidates)

        states: list[PluginState] = []
        modules: dict[str, Any] = {}
        for candidate in candidates:
            reason = _blocked(candidate, only, without)
            if reason:
                states.append(candidate.state(Status.BLOCKED, reason))
                continue
            state, module = load_candidate(candidate)
            twin = next((name for name, other in modules.items() if other is module), None)
            if state.status is Status.OK and twin is not None:
                state = candidate.state(
                    Status.BROKEN, f"is the same module as the plugin {twin}: name it once"
                )
            states.append(state)
            if state.status is Status.OK:
                modules[f"{state.dist}:{state.name}"] = module
            elif strict:
                raise LpcmError(
                    f"plugin {state.name!r} of {state.dist} is {state.status.value}: {state.reason}",
                    state.traceback,
                )
        return cls(states, modules)

    def offers(self, kind: Kind) -> list[Offer]:
        """Everything of one kind, sorted by name."""
        return sorted(self._offers[kind], key=lambda offer: (offer.record.name, offer.dist))

    def find(self, kind: Kind, text: str) -> Found:
        """The offer that ``text`` stands for: ``name``, ``name:ARGUMENT``, ``dist:name`` or ``dist:name:ARGUMENT``.

        Raises:
            UsageError: for an unknown or ambiguous name, with the nearest names.
            MissingError: when the name belongs to a plugin that is not usable or not installed.
        """
        offers = self._offers[kind]
        head, colon, tail = text.partition(":")
        if colon:
            inside = [o for o in offers if head in (o.dist, o.plugin)]
            name, _, argument = tail.partition(":")
            for offer in inside:
                if offer.record.name == name:
                    return _found(offer, argument)
        named = [o for o in offers if o.record.name == head]
        if len(named) == 1:
            return _found(named[0], tail)
        if named:
            choices = " or ".join(sorted(o.full_name + (f":{tail}" if tail else "") for o in named))
            raise UsageError(
                f"{kind.value} {head!r} is offered by {' and '.join(sorted(o.dist for o in named))}",
                f"type {choices}",
            )
        raise self._miss(kind, text, head)

    def load(self, found: Found) -> Any:
        """The attribute that a record's loader names.

        Raises:
            MissingError: when a distribution that the record requires is not installed.
            LpcmError: when the loader does not resolve.
        """
        record = found.record
        missing = [name for name in record.requires if not _installed(name)]
        if missing:
            raise MissingError(
                f"{record.kind.value} {record.name!r} needs {', '.join(missing)}, which is not installed",
                f"type: pip install {' '.join(missing)}",
            )
        return resolve(record.loader, f"{record.kind.value} {found.offer.full_name}")

    def state(self, name: str) -> PluginState:
        """The state of the plugin of that entry-point or distribution name. Raises ``UsageError``."""
        for state in self.states:
            if name in (state.name, state.dist, f"{state.dist}:{state.name}"):
                return state
        known = [s.name for s in self.states] + [s.dist for s in self.states]
        raise UsageError(
            f"no plugin is called {name!r}", nearest(name, known) or "type: lpcm-eval plugins list"
        )

    def run_finished(self, record: RunRecord) -> list[str]:
        """Tell every plugin that a run ended; a plugin that fails is named in the returned lines."""
        complaints = []
        for implementation in self._manager.hook.lpcm_run_finished.get_hookimpls():
            try:
                implementation.function(**({"record": record} if "record" in implementation.argnames else {}))
            except Exception as error:  # a broken exporter must not take the run's results with it
                complaints.append(
                    f"plugin {implementation.plugin_name} failed in lpcm_run_finished: {error!r}"
                )
        return complaints

    def _miss(self, kind: Kind, text: str, head: str) -> LpcmError:
        unusable = [s for s in self.states if s.status is not Status.OK and s.status is not Status.CONFLICT]
        for state in unusable:
            if head in (state.name, state.dist):
                return MissingError(
                    f"{kind.value} {text!r} comes from plugin {state.name!r}, "
                    f"which is {state.status.value}: {state.reason}",
                    f"type: lpcm-eval plugins why {state.name}",
                )
        owner = _OFFERED_BY.get((kind, head))
        owners = [s for s in unusable if s.dist == owner]
        if owners:
            return MissingError(
                f"{kind.value} {text!r} comes from {owner}, which is {owners[0].status.value}: {owners[0].reason}",
                f"type: lpcm-eval plugins why {owners[0].name}",
            )
        if owner:
            return MissingError(
                f"{kind.value} {text!r} comes from {owner}, which is not installed",
                f"type: pip install {owner}",
            )
        known = [o.record.name for o in self._offers[kind]]
        hint = nearest(head, known) or f"type: lpcm-eval ls {kind.plural}"
        if unusable:
            hint += f" (plugins that could not be asked: {', '.join(s.name for s in unusable)})"
        return UsageError(f"no {kind.value} is called {text!r}", hint)


def resolve(loader: str, what: str) -> Any:
    """Import ``"module:attr"``. Raises ``LpcmError`` that names ``what`` and the cause."""
    module_name, _, path = loader.partition(":")
    try:
        value: Any = import_module(module_name)
        for part in path.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        raise LpcmError(f"{what} does not load: {loader!r} gives {type(error).__name__}: {error}") from error
    return value


def _found(offer: Offer, argument: str) -> Found:
    takes, name = offer.record.takes, offer.record.name
    kind = offer.record.kind.value
    if argument and not takes:
        raise UsageError(
            f"{kind} {name!r} takes nothing after a colon, got {argument!r}", f"type: {offer.shortest_name}"
        )
    if takes and not argument and not takes.startswith("["):
        raise UsageError(f"{kind} {name!r} needs {takes}", f"type: {offer.shortest_name}:{takes}")
    return Found(offer, argument)


def _rivals(states: Iterable[PluginState], record: Record, owner: PluginState) -> list[PluginState]:
    return [
        state
        for state in states
        if state is not owner and any(r.kind is record.kind and r.name == record.name for r in state.records)
    ]


def _with_conflicts(states: Sequence[PluginState]) -> Iterator[PluginState]:
    """States in which plugins that offer the same name are marked, each naming the other."""
    for state in states:
        reasons = []
        same_entry = [
            s for s in states if s is not state and s.name == state.name and s.status is not Status.BLOCKED
        ]
        if same_entry and state.status is not Status.BLOCKED:
            reasons.append(
                f"the plugin name {state.name!r} is also used by {', '.join(s.dist for s in same_entry)}"
            )
        for record in state.records:
            for rival in _rivals(states, record, state):
                reasons.append(
                    f"{record.kind.value} {record.name!r} is offered by {state.dist} and by {rival.dist}: "
                    f"type {state.dist}:{record.name} or {rival.dist}:{record.name}"
                )
        if reasons and state.status is Status.OK:
            yield replace(state, status=Status.CONFLICT, reason="; ".join(reasons))
        else:
            yield state


def _blocked(candidate: Candidate, only: Sequence[str] | None, without: Sequence[str]) -> str:
    names = (candidate.name, candidate.dist)
    if any(name in without for name in names):
        return "left out by --no-plugin"
    if (
        only is not None
        and candidate.name != CORE
        and not candidate.is_file
        and not any(n in only for n in names)
    ):
        return "not among the plugins that LPCM_PLUGINS names"
    return ""


def _refuse_unknown(without: Sequence[str], candidates: Sequence[Candidate]) -> None:
    known = {c.name for c in candidates} | {c.dist for c in candidates}
    for name in without:
        if name not in known:
            raise UsageError(
                f"--no-plugin {name}: no plugin is called that",
                nearest(name, known) or f"installed: {', '.join(sorted(known))}",
            )


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
