"""Claims that every kind of thing makes: it loads, its settings are true, no network, no global generator."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from lpcm.plugin.guard import changed_generators, forbid_network, random_states
from lpcm.testing.subject import CheckFunction, Subject, expect, skip


def loader_resolves(subject: Subject) -> None:
    """The record's loader names something that can be called."""
    expect(callable(subject.load()), f"{subject.record.loader!r} is not callable")


def settings_are_those_of_the_loader(subject: Subject) -> None:
    """Each ``Param`` of the record is a keyword of the loader with the same default."""
    if not subject.record.params:
        skip("the record announces no settings")
    keywords = inspect.signature(subject.load()).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in keywords.values())
    for param in subject.record.params:
        if param.name not in keywords:
            expect(
                open_ended, f"the record has a setting {param.name!r}, the loader takes {', '.join(keywords)}"
            )
            continue
        default = keywords[param.name].default
        expect(
            default is inspect.Parameter.empty or _same(default, param.default),
            f"setting {param.name!r} is {param.default!r} in the record, {default!r} in the loader",
        )


def watched(exercise: Callable[[Subject], Any]) -> tuple[CheckFunction, CheckFunction]:
    """The two claims about what a thing does besides its work, watched while ``exercise`` uses it once."""

    def watch(subject: Subject) -> tuple[list[str], list[str]]:
        before = random_states()
        with forbid_network() as tried:
            exercise(subject)
            after = random_states()
            touched = changed_generators(before, after)
            if set(after) != set(before):
                # A library was loaded on the way: only a second time can its generator be watched.
                exercise(subject)
                touched += [
                    name for name in changed_generators(after, random_states()) if name not in touched
                ]
        return sorted(set(tried)), touched

    def opens_no_connection(subject: Subject) -> None:
        """Nothing is reached over the network, not even when the error is swallowed."""
        tried, _ = subject.once("watched", lambda: watch(subject))
        expect(not tried, f"tried to reach {', '.join(tried)}")

    def leaves_global_generators_alone(subject: Subject) -> None:
        """Randomness comes from a key: no global generator is drawn from or seeded."""
        _, touched = subject.once("watched", lambda: watch(subject))
        expect(
            not touched,
            f"changed the global state of {', '.join(touched)}: draw from the key or random_state given",
        )

    return opens_no_connection, leaves_global_generators_alone


def expect_json(value: Any, what: str) -> None:
    """Expect a mapping that the row can hold: JSON values, no NaN."""
    expect(hasattr(value, "items"), f"{what} is a {type(value).__name__}: expected a mapping")
    try:
        json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        expect(False, f"{what} cannot go into a row: {error}")


def expect_text(value: Any, what: str) -> None:
    """Expect a string that says something."""
    expect(isinstance(value, str) and value.strip(), f"{what} is {value!r}: expected a text")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return list(one) == list(other)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


LOADING: tuple[CheckFunction, ...] = (loader_resolves,)
WITH_SETTINGS: tuple[CheckFunction, ...] = (loader_resolves, settings_are_those_of_the_loader)
