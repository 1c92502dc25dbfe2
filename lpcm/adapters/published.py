"""The selection rule that an adapter's authors published, as data. Refuses to run it: that is the task's part.

An adapter states it as its attribute ``published``; the few-shot task repeats it under ``--protocol published``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class LooksAt(str, Enum):
    """The labelled rows that a rule chooses on, besides the shots."""

    NOTHING = "no other labelled row"
    FEW = "few-shot validation rows"  # min(k, 4) a class, as the clean protocol has
    SPLIT = "the whole validation split"  # and the test rows where the dataset has no such split
    TEST = "the test rows"


@dataclass(frozen=True, kw_only=True)
class Published:
    """How an adapter's settings were chosen by its authors.

    Args:
        settings_on: what its settings are chosen on.
        epoch_on: what the epoch of its training is chosen on, where that is another; then the larger of two scores
            there is what they report: with the settings of training, and with those chosen after it.
        settings: what the released code fixes; a study's own settings go before these.
        rule: in a sentence without its full stop, for the row.
        source: the code or the section.
    """

    settings_on: LooksAt
    epoch_on: LooksAt | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    rule: str
    source: str

    def tests(self, *, has_split: bool) -> bool:
        """Whether the rule looks at test labels of a dataset with, or without, a validation split."""
        on = {self.settings_on, self.epoch_on}
        return LooksAt.TEST in on or (LooksAt.SPLIT in on and not has_split)
