"""``lpcm-eval cache ls|verify|prune``: looks after the store. Never touches downloaded datasets."""

from __future__ import annotations

import argparse

from lpcm.cli.common import add_store, print_json, store_of
from lpcm.errors import EXIT_CELLS_FAILED, EXIT_DONE, UsageError


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The action."""
    command.add_argument(
        "action",
        choices=["ls", "verify", "prune"],
        help="ls: what is kept; verify: check every file against its digest; "
        "prune: remove what was not used for --days",
    )
    command.add_argument(
        "--days", type=float, metavar="D", help="with prune: age in days; 0 removes everything"
    )
    command.add_argument("--remove", action="store_true", help="with verify: remove what is damaged")
    add_store(command)


def run(arguments: argparse.Namespace) -> int:
    """Do the action."""
    from lpcm.store.inventory import damages, inventory, prune

    store = store_of(arguments)
    if arguments.action == "ls":
        found = inventory(store)
        print_json(found) if arguments.json else print(
            "\n".join(f"{name}: {value}" for name, value in found.items())
        )
        return EXIT_DONE
    if arguments.action == "prune":
        if arguments.days is None or arguments.days < 0:
            raise UsageError("cache prune needs an age", "type: lpcm-eval cache prune --days 30")
        files, size = prune(store, arguments.days)
        print_json({"files": files, "bytes": size}) if arguments.json else print(
            f"removed {files} files, {size / 1e6:.1f} MB"
        )
        return EXIT_DONE
    damaged = damages(store)
    if arguments.remove:
        for damage in damaged:
            damage.path.unlink(missing_ok=True)
    if arguments.json:
        print_json([{"path": str(d.path), "reason": d.reason, "removed": arguments.remove} for d in damaged])
    else:
        for damage in damaged:
            print(f"{damage.path} {damage.reason}" + (": removed" if arguments.remove else ""))
        print(
            f"{len(damaged)} damaged files"
            + (" (--remove takes them out)" if damaged and not arguments.remove else "")
        )
    return EXIT_CELLS_FAILED if damaged and not arguments.remove else EXIT_DONE
