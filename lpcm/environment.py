"""Environment variables for a while: for what reads them when it begins, or at each call. Refuses to leave them set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables; afterwards they are what they were, or not there again.

    Args:
        values: by name.

    Example:
        >>> with variables({"LPCM_EXAMPLE": "1"}):
        ...     os.environ["LPCM_EXAMPLE"]
        '1'
        >>> "LPCM_EXAMPLE" in os.environ
        False
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
