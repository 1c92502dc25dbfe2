"""What several commands share: the host that the flags ask for, the store's folder, tables and JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lpcm.plugin.host import PluginHost
from lpcm.plugin.loader import Status


def host_of(arguments: argparse.Namespace) -> PluginHost:
    """The plugins that the flags and the environment ask for; one line on standard error says which are unusable."""
    host = PluginHost.discover(without=arguments.no_plugin, files=[Path(p) for p in arguments.plugin])
    unusable = [s for s in host.states if s.status in (Status.BROKEN, Status.INCOMPATIBLE)]
    if unusable and arguments.command != "plugins":  # which shows the states themselves
        named = ", ".join(f"{state.name} ({state.status.value})" for state in unusable)
        print(f"lpcm-eval: unusable plugins: {named}; type: lpcm-eval plugins", file=sys.stderr)
    return host


def add_store(command: argparse.ArgumentParser) -> None:
    """The ``--store`` flag."""
    command.add_argument(
        "--store",
        metavar="DIR",
        type=Path,
        help="features and results (default: $LPCM_STORE or ~/.cache/lpcm)",
    )


def store_of(arguments: argparse.Namespace) -> Path:
    """The store's folder: flag, ``LPCM_STORE``, or ``lpcm`` in the user's cache folder."""
    if arguments.store is not None:
        return Path(arguments.store).expanduser()
    if os.environ.get("LPCM_STORE"):
        return Path(os.environ["LPCM_STORE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lpcm"


def print_json(value: Any) -> None:
    """Print one JSON value."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()


def print_columns(rows: Iterable[Sequence[str]], heading: Sequence[str]) -> None:
    """Print aligned columns; the last one is as long as it is."""
    table = [list(heading), *(list(map(str, row)) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(heading) - 1)]
    for row in table:
        print(
            "  ".join(
                [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]
            ).rstrip()
        )
