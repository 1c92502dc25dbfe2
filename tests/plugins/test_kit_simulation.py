"""The kit's checks of simulations: each fails for the fault that it is about, and none for a sound one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from lpcm.keys import Key
from lpcm.plugin.records import Kind, Param, TaskRecord
from lpcm.plugin.truth import Finding, Score
from lpcm.testing import Outcome, Subject, checks_for, checks_of, run_checks

pytestmark = pytest.mark.usefixtures("generators_put_back")

RECORD = TaskRecord(name="sound", summary="s", loader="a:b", axes=(Kind.GEOMETRY,))


class Sound:
    """One draw a cell."""

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        yield from ({"geometry": axes["geometry"][0], "seed": seed} for seed in axes["seed"])

    def simulate(self, laboratory: Any, axes: Mapping[str, Any]) -> Finding:
        laboratory.progress(1, 2, "half")
        value = self.value(laboratory.key)
        laboratory.progress(2, 2, "done")
        return Finding(score=self.score(value), n=5, facts=self.facts(), selection="nothing is chosen")

    def value(self, key: Key) -> float:
        return float(key.generator().random())

    def score(self, value: float) -> Score:
        return Score(metric="draw", value=value, null={"mean": 0.5})

    def facts(self) -> Mapping[str, Any]:
        return {}


def failed(attribute: Any, record: TaskRecord = RECORD) -> set[str]:
    checks = run_checks(checks_for(record), Subject.of_object(record, attribute))
    return {check.name for check in checks if check.outcome is Outcome.FAILED}


def test_a_sound_simulation_passes_every_check() -> None:
    assert failed(Sound) == set()


def test_simulations_have_checks_of_their_own_and_other_tasks_do_not() -> None:
    other = TaskRecord(name="other", summary="s", loader="a:b")
    assert checks_for(other) == checks_of(Kind.TASK)
    assert checks_for(RECORD) != checks_of(Kind.TASK)


def test_the_cheapest_preset_that_a_record_announces_is_run() -> None:
    asked = []

    class Presets(Sound):
        def __init__(self, *, preset: str = "full") -> None:
            asked.append(preset)

    params = (Param(name="preset", help="h", default="full", choices=("quick", "full")),)
    record = TaskRecord(name="sound", summary="s", loader="a:b", axes=(Kind.GEOMETRY,), params=params)
    assert failed(Presets, record) == set()
    assert set(asked) == {"quick"}


class Forgetful(Sound):
    def value(self, key: Key) -> float:
        return random.SystemRandom().random()


class Deaf(Sound):
    def value(self, key: Key) -> float:
        return 0.25


class Global(Sound):
    def value(self, key: Key) -> float:
        random.random()
        return super().value(key)


class Bare(Sound):
    def score(self, value: float) -> Score:
        return Score(metric="draw", value=value)


class Endless(Sound):
    def value(self, key: Key) -> float:
        return float("inf")


class Unkept(Sound):
    def facts(self) -> Mapping[str, Any]:
        return {"key": object()}


class Backwards(Sound):
    def simulate(self, laboratory: Any, axes: Mapping[str, Any]) -> Finding:
        found = super().simulate(laboratory, axes)
        laboratory.progress(1, 2, "again")
        return found


class Twice(Sound):
    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        yield from super().cells(axes)
        yield from super().cells(axes)


@pytest.mark.parametrize(
    ("fault", "claim"),
    [
        (Forgetful, "same_key_same_finding"),
        (Deaf, "another_seed_is_another_draw"),
        (Global, "leaves_global_generators_alone"),
        (Bare, "null_is_declared"),
        (Endless, "value_is_finite_with_its_spread"),
        (Unkept, "finding_goes_into_a_row"),
        (Backwards, "progress_ends_where_it_says"),
        (Twice, "cells_are_points_of_the_study"),
    ],
)
def test_each_fault_fails_its_check(fault: type, claim: str) -> None:
    assert claim in failed(fault)
