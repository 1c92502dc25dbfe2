"""``lpcm-eval plugins``: the state of every plugin, why one is not ok, its conformance, a new one."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import Any

from lpcm.cli.common import host_of, print_columns, print_json
from lpcm.errors import EXIT_CELLS_FAILED, EXIT_DONE, EXIT_MISSING, UsageError
from lpcm.plugin.hookspecs import API
from lpcm.plugin.loader import PluginState, Status
from lpcm.plugin.records import Kind


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The action and its name."""
    command.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=["list", "check", "why", "new"],
        help="list: every plugin and its state; check NAME: run the conformance checks on all that it offers; "
        "why NAME: what is wrong with it; new NAME --kind KIND: write a plugin that works",
    )
    command.add_argument(
        "name", nargs="?", metavar="NAME", help="plugin, distribution, or the name of the new one"
    )
    command.add_argument(
        "--kind", choices=[k.value for k in Kind], help="kind of thing that the new plugin offers"
    )
    command.add_argument(
        "--into", type=Path, default=Path(), metavar="DIR", help="folder for the new plugin (default: here)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do the action."""
    if arguments.action != "list" and not arguments.name:
        raise UsageError(
            f"plugins {arguments.action} needs a name", f"type: lpcm-eval plugins {arguments.action} NAME"
        )
    if arguments.action == "new":
        return _new(arguments)
    if arguments.kind:
        raise UsageError("--kind goes with plugins new", "type: lpcm-eval plugins new NAME --kind encoder")
    host = host_of(arguments)
    if arguments.action == "check":
        return _check(arguments, host.state(arguments.name))
    if arguments.action == "why":
        return _why(arguments, host.state(arguments.name))
    if arguments.json:
        print_json({"api": list(API), "plugins": [describe(state) for state in host.states]})
        return EXIT_DONE
    rows = [
        (s.name, s.status.value, s.dist, s.version, _offered(s) if s.status is Status.OK else s.reason)
        for s in host.states
    ]
    print_columns(rows, ("PLUGIN", "STATE", "FROM", "VERSION", "OFFERS"))
    for state in host.states:
        for note in state.notes:
            print(f"note: {state.name}: {note}")
    return EXIT_DONE


def describe(state: PluginState) -> dict[str, Any]:
    """A state as JSON values."""
    return {
        "name": state.name,
        "dist": state.dist,
        "version": state.version,
        "status": state.status.value,
        "reason": state.reason,
        "notes": list(state.notes),
        "import_seconds": round(state.seconds, 4),
        "offers": [{"kind": r.kind.value, "name": r.name} for r in state.records],
    }


def _offered(state: PluginState) -> str:
    parts = []
    for kind in Kind:
        names = [r.name for r in state.records if r.kind is kind]
        if names:
            parts.append(
                f"{len(names)} {kind.plural}" if len(names) > 3 else f"{kind.value} {', '.join(names)}"
            )
    return "; ".join(parts) or "listens to runs"


def _why(arguments: argparse.Namespace, state: PluginState) -> int:
    if arguments.json:
        print_json({**describe(state), "traceback": state.traceback})
    else:
        print(
            f"{state.name} ({state.dist} {state.version}) is {state.status.value}"
            + (f": {state.reason}" if state.reason else "")
        )
        for note in state.notes:
            print(f"note: {note}")
        for record in state.records:
            print(f"offers {record.kind.value} {record.name}: {record.summary}")
        if state.traceback:
            print(state.traceback.rstrip())
    return EXIT_DONE if state.status in (Status.OK, Status.CONFLICT, Status.BLOCKED) else EXIT_MISSING


def _check(arguments: argparse.Namespace, state: PluginState) -> int:
    from lpcm.testing.conformance import check_plugin

    report = check_plugin(state)
    if arguments.json:
        print_json(
            {**describe(state), "checks": [c.as_json() for c in report.checks], "passed": report.passed}
        )
    else:
        for check in report.checks:
            print(
                f"{check.outcome.value:7}  {check.subject}  {check.name}"
                + (f": {check.detail}" if check.detail else "")
            )
        print(report.verdict)
    return EXIT_DONE if report.passed else EXIT_CELLS_FAILED


def _new(arguments: argparse.Namespace) -> int:
    from lpcm.plugin.template_files import render

    if not arguments.kind:
        raise UsageError("plugins new needs --kind", f"one of: {', '.join(k.value for k in Kind)}")
    folder = render(arguments.name, Kind(arguments.kind), arguments.into)
    if arguments.json:
        print_json({"folder": str(folder)})
    else:
        # Without a separator pip would look for a package of that name on PyPI.
        place = shlex.quote(str(folder) if folder.is_absolute() else f".{os.sep}{folder}")
        print(
            f"wrote {place}; next:\n  pip install {place}\n  pytest {place}\n  lpcm-eval plugins check {arguments.name}"
        )
    return EXIT_DONE
