"""Runs all checks on all that a plugin offers: what ``lpcm-eval plugins check NAME`` prints.

Refuses to call a plugin conforming when nothing could be checked, or when it did not load.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from lpcm.plugin.host import Offer
from lpcm.plugin.loader import PluginState, Status
from lpcm.plugin.records import Kind, Record, TaskRecord
from lpcm.testing.report import Check, Outcome, Report
from lpcm.testing.simulation import CHECKS as SIMULATION_CHECKS
from lpcm.testing.simulation import is_simulation
from lpcm.testing.subject import CheckFunction, Subject, run_checks


def checks_of(kind: Kind) -> tuple[CheckFunction, ...]:
    """The checks of one kind, in the order in which they run."""
    found: tuple[CheckFunction, ...] = import_module(f"lpcm.testing.{kind.value}").CHECKS
    return found


def checks_for(record: Record) -> tuple[CheckFunction, ...]:
    """The checks of what a record announces: a task that makes its own data has other promises than the others."""
    if isinstance(record, TaskRecord) and is_simulation(record):
        return SIMULATION_CHECKS
    return checks_of(record.kind)


def check_plugin(state: PluginState) -> Report:
    """Check the plugin itself and everything that it offers.

    Args:
        state: from ``PluginHost.state(name)``.
    """
    checks = [_loads(state), _has_no_notes(state)]
    for record in state.records:
        subject = Subject.of_offer(Offer(record, state.name, state.dist))
        checks += run_checks(checks_for(record), subject)
    return Report(f"{state.dist} {state.version}", tuple(checks))


def catalogue() -> Mapping[Kind, tuple[tuple[str, str], ...]]:
    """Name and claim of every check, by kind, as the documentation lists them."""
    return {
        kind: tuple((f.__name__, (f.__doc__ or "").strip().splitlines()[0]) for f in checks_of(kind))
        for kind in Kind
    }


def _loads(state: PluginState) -> Check:
    label, name = f"plugin {state.name}", "plugin_loads"
    if state.status in (Status.OK, Status.CONFLICT):
        return Check(Outcome.PASSED, label, name, state.reason)
    return Check(Outcome.FAILED, label, name, f"{state.status.value}: {state.reason}")


def _has_no_notes(state: PluginState) -> Check:
    label, name = f"plugin {state.name}", "plugin_is_ok_without_notes"
    if state.status not in (Status.OK, Status.CONFLICT):
        return Check(Outcome.SKIPPED, label, name, "it did not load")
    if state.notes:
        return Check(Outcome.FAILED, label, name, "; ".join(state.notes))
    return Check(Outcome.PASSED, label, name)
