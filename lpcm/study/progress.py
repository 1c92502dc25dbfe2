"""What the runner tells while it works. The default says nothing; the command line draws bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Reporter:
    """Listens to a run; every method may be overridden, none needs to be."""

    def plan(self, cells: int, done: int) -> None:
        """A run of that many cells starts; ``done`` of them are in the store."""

    def extraction(self, what: str, done: int, total: int) -> None:
        """So many images of one split were encoded."""

    def cell(self, row: Mapping[str, Any]) -> None:
        """A cell ended, well or not."""

    def note(self, text: str) -> None:
        """Something that the user should know now."""

    def step(self, what: str, done: int, total: int, said: str) -> None:
        """A cell that takes long is so far, and stands as ``said``."""
