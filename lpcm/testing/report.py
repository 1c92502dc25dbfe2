"""What a conformance run found: a line a check, and a verdict. Refuses to count a skipped check as passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Outcome(str, Enum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One check of one thing.

    Args:
        outcome: what became of it.
        subject: kind and name of the thing, for example ``"encoder my-encoder"``.
        name: the claim that was checked, as its function is called.
        detail: why it failed or was skipped.
    """

    outcome: Outcome
    subject: str
    name: str
    detail: str = ""

    def as_json(self) -> dict[str, str]:
        """The check as JSON values."""
        return {
            "outcome": self.outcome.value,
            "subject": self.subject,
            "name": self.name,
            "detail": self.detail,
        }


@dataclass(frozen=True)
class Report:
    """All checks of a plugin.

    Args:
        plugin: its name and version, as the verdict says them.
        checks: in the order in which they ran.

    Example:
        >>> Report("mine 1.0", (Check(Outcome.PASSED, "metric mine", "perfect_is_best"),)).verdict
        'mine 1.0: conforms to lpcm plugin interface 1.0 (1 passed, 0 failed, 0 skipped)'
    """

    plugin: str
    checks: Sequence[Check]

    def count(self, outcome: Outcome) -> int:
        """How many checks ended so."""
        return sum(check.outcome is outcome for check in self.checks)

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing failed."""
        return self.count(Outcome.PASSED) > 0 and self.count(Outcome.FAILED) == 0

    @property
    def verdict(self) -> str:
        """One line, short enough for a badge in a README."""
        from lpcm.plugin.hookspecs import API

        if self.passed:
            said = "conforms to"
        elif self.count(Outcome.FAILED):
            said = "does not conform to"
        else:
            said = "was not checked against"
        counts = ", ".join(f"{self.count(outcome)} {outcome.value}" for outcome in Outcome)
        return f"{self.plugin}: {said} lpcm plugin interface {API[0]}.{API[1]} ({counts})"
