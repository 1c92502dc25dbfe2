"""Whether a head learns how large its space is. Imports nothing heavy."""

from __future__ import annotations

from enum import Enum

from lpcm.errors import UsageError


class Extent(str, Enum):
    """Whether the size of the space that a head lands in is learnt."""

    FIXED = "fixed"
    LEARNED = "learned"

    @classmethod
    def of(cls, text: str) -> Extent:
        """Read a setting.

        Raises:
            UsageError: for anything but the two words.
        """
        try:
            return cls(text)
        except ValueError:
            raise UsageError(
                f"extent is {text!r}: expected fixed or learned", "type extent=learned"
            ) from None
