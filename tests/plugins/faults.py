"""Runs the conformance checks on an object at hand and names those that fail."""

from __future__ import annotations

from typing import Any

from lpcm.plugin.records import Record
from lpcm.testing import Outcome, Subject, checks_of, run_checks


def failed(record: Record, attribute: Any) -> set[str]:
    """Names of the checks that fail for what ``record`` announces and ``attribute`` builds."""
    checks = run_checks(checks_of(record.kind), Subject.of_object(record, attribute))
    return {check.name for check in checks if check.outcome is Outcome.FAILED}
