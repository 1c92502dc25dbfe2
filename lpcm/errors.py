"""Errors that teach: each says what was given, what was expected and what to type.

Everything that a user can cause is one of these; the command line prints them without a traceback
and ends with the exit code of the class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_DONE = 0
EXIT_CELLS_FAILED = 1
EXIT_USAGE = 2
EXIT_MISSING = 3


class LpcmError(Exception):
    """Base of all errors that lpcm raises on purpose.

    Args:
        message: what was given and what was expected.
        hint: what to type, or how to mend it; shown on its own line.
    """

    exit_code = EXIT_CELLS_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(LpcmError):
    """What was asked for cannot be: a wrong flag, name, value or study file."""

    exit_code = EXIT_USAGE


class MissingError(LpcmError):
    """Something outside lpcm is needed and not there: a plugin, weights, a dataset on disk."""

    exit_code = EXIT_MISSING


class DataError(LpcmError):
    """Data that was read is not what it claims to be: a corrupt image, a wrong layout, NaN features."""


class SealError(LpcmError):
    """Test labels were asked for before fitting was closed, or twice."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """``"did you mean 'a' or 'b'?"`` for the known names closest to ``name``; empty when none is close."""
    close = difflib.get_close_matches(name, list(known), n=count, cutoff=0.5)
    return f"did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
