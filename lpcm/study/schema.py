"""Fields of a schema that is both flags and a TOML file, with the parsers that studies and recipes share.

A parser takes a raw value, from a flag or a file, and raises ``ValueError`` with what it expected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any


def flag(parse: Callable[[Any], Any], metavar: str, text: str, default: Any = None) -> Any:
    """A dataclass field with how it is parsed, what stands for its value in the help, and the help."""
    return field(default=default, metadata={"parse": parse, "metavar": metavar, "help": text})


def text(value: Any) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("expected text")
    return value


def settings(example: str) -> Callable[[Any], tuple[tuple[str, Any], ...]]:
    """Parse ``["ica.k=128", ...]`` of flags, or the tables of a file, to sorted pairs; ``example`` is for the error."""
    name_of_it, _, _ = example.partition("=")

    def parse(value: Any) -> tuple[tuple[str, Any], ...]:
        if isinstance(value, Mapping):
            pairs = dict(_flatten(value))
        else:
            pairs = {}
            for item in value if isinstance(value, list | tuple) else [value]:
                name, equals, raw = text(item).partition("=")
                if not equals:
                    raise ValueError(f"{item!r}: expected NAME.PARAM=VALUE, for example {example}")
                try:
                    pairs[name.strip()] = json.loads(raw)
                except json.JSONDecodeError:
                    pairs[name.strip()] = raw
        for name in pairs:
            if "." not in name:
                raise ValueError(f"{name!r}: expected NAME.PARAM, for example {name_of_it}")
        return tuple(sorted(pairs.items()))

    return parse


def _flatten(tables: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in tables.items():
        path = f"{prefix}.{name}" if prefix else name
        flat += _flatten(value, path) if isinstance(value, Mapping) else [(path, value)]
    return flat
