"""``lpcm-eval doctor``: what this machine is, which kernels are live and why, versions, plugins, weights."""

from __future__ import annotations

import argparse
from typing import Any

from lpcm.cli.common import add_store, host_of, print_json, store_of
from lpcm.cli.plugins import describe
from lpcm.errors import EXIT_DONE


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The store to look into."""
    add_store(command)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings."""
    findings = examine(arguments)
    if arguments.json:
        print_json(findings)
        return EXIT_DONE
    for section, facts in findings.items():
        print(section)
        for line in _lines(facts):
            print(f"  {line}")
    return EXIT_DONE


def examine(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that doctor knows, as JSON values."""
    from lpcm import _core
    from lpcm.store.inventory import inventory
    from lpcm.study.rows import environment

    try:
        level = _core.active_cpu_level()
        why = "the best that this processor has"
    except ValueError as error:
        level, why = "none", str(error)
    cpu = _core.cpu()
    return {
        "versions": environment(),
        "processor": {
            "brand": cpu["brand"] or cpu["vendor"],
            "levels": cpu["available"],
            "level in force": f"{level} ({why})",
            "bf16 dot products": cpu["avx512_bf16"],
            "bf16 tiles (AMX)": cpu["amx_bf16"],
        },
        "gpu": _core.gpus(),
        "core": _core.build(),
        "plugins": [describe(state) for state in host_of(arguments).states],
        "store": inventory(store_of(arguments)),
    }


def _lines(facts: Any) -> list[str]:
    if isinstance(facts, dict):
        return [f"{name}: {_short(value)}" for name, value in facts.items()]
    return [
        f"{f['name']} ({f['dist']} {f['version']}): {f['status']}"
        + (f", {f['reason']}" if f["reason"] else "")
        for f in facts
    ]


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)
