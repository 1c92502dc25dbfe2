"""Decorators that turn one test function into a test for each named check of a thing.

A plugin author's whole test file is three lines::

    from lpcm.testing import check_encoder

    @check_encoder("my-encoder")
    def test_my_encoder(check):
        check()

Refuses to look the name up while tests are collected: a plugin that does not load is a failing test, not an
error of collection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind
from lpcm.testing.report import Outcome
from lpcm.testing.subject import CheckFunction, Subject, run_checks

Test = TypeVar("Test", bound=Callable[..., Any])


@cache
def installed() -> PluginHost:
    """The installed plugins, discovered once in a test process."""
    return PluginHost.discover()


@dataclass(eq=False)
class Target:
    """What the checks of one decorated test look at; found at the first check.

    Args:
        kind: of the thing.
        text: as a user types it: ``name``, ``name:ARGUMENT`` or ``dist:name``.
    """

    kind: Kind
    text: str
    _subject: Subject | None = field(default=None, repr=False)

    def subject(self) -> Subject:
        """The subject that all checks share. Raises ``LpcmError`` when the name stands for nothing."""
        if self._subject is None:
            found = installed().find(self.kind, self.text)
            self._subject = Subject.of_offer(found.offer, found.argument)
        return self._subject


@dataclass(frozen=True, eq=False)
class BoundCheck:
    """A check of a target, to be called by the test."""

    function: CheckFunction
    target: Target

    def __call__(self) -> None:
        """Run the check: fails or skips the test with the check's own words."""
        import pytest

        (check,) = run_checks([self.function], self.target.subject())
        if check.outcome is Outcome.SKIPPED:
            pytest.skip(check.detail)
        if check.outcome is Outcome.FAILED:
            pytest.fail(f"{check.subject}: {check.name}: {check.detail}", pytrace=False)


def _decorator(
    kind: Kind, name: str, functions: Sequence[CheckFunction] | None = None
) -> Callable[[Test], Test]:
    import pytest

    from lpcm.testing.conformance import checks_of

    target = Target(kind, name)
    chosen = checks_of(kind) if functions is None else functions
    cases = [pytest.param(BoundCheck(function, target), id=function.__name__) for function in chosen]
    return pytest.mark.parametrize("check", cases)


def check_encoder(name: str) -> Callable[[Test], Test]:
    """Run the test once for each check of an encoder, as argument ``check``."""
    return _decorator(Kind.ENCODER, name)


def check_geometry(name: str) -> Callable[[Test], Test]:
    """Run the test once for each check of a geometry, as argument ``check``."""
    return _decorator(Kind.GEOMETRY, name)


def check_disentangler(name: str) -> Callable[[Test], Test]:
    """Run the test once for each check of a disentangler, as argument ``check``."""
    return _decorator(Kind.DISENTANGLER, name)


def check_adapter(name: str) -> Callable[[Test], Test]:
    """Run the test once for each check of an adapter, as argument ``check``."""
    return _decorator(Kind.ADAPTER, name)


def check_task(name: str) -> Callable[[Test], Test]:
    """Run the test once for each check of a task, as argument ``check``."""
    return _decorator(Kind.TASK, name)


def check_simulation(name: str) -> Callable[[Test], Test]:
    """Run the test once for each check of a task that makes its own data, as argument ``check``."""
    from lpcm.testing.simulation import CHECKS

    return _decorator(Kind.TASK, name, CHECKS)


def check_dataset(name: str) -> Callable[[Test], Test]:
    """Run the test once for each check of a dataset, as argument ``check``."""
    return _decorator(Kind.DATASET, name)


def check_metric(name: str) -> Callable[[Test], Test]:
    """Run the test once for each check of a metric, as argument ``check``."""
    return _decorator(Kind.METRIC, name)
