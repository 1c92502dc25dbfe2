"""The thing under test and how a check speaks of it. Refuses to download: all is built without network.

A check is a function of a ``Subject`` whose name reads as a claim. It returns when the claim holds, raises
``Broken`` when it does not, and ``Skip`` when it cannot be judged here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lpcm.errors import LpcmError, MissingError
from lpcm.plugin.guard import forbid_network
from lpcm.plugin.host import Found, Offer, PluginHost
from lpcm.plugin.records import Record
from lpcm.testing.report import Check, Outcome

T = TypeVar("T")


class Broken(AssertionError):  # noqa: N818  (it reads as what the thing is)
    """The claim does not hold."""


class Skip(Exception):  # noqa: N818
    """The claim cannot be judged here; the message says why."""


def expect(condition: object, message: str) -> None:
    """Raise ``Broken`` with ``message`` unless ``condition`` is true."""
    if not condition:
        raise Broken(message)


def skip(reason: str) -> NoReturn:
    """Give up on a check that cannot be judged here."""
    raise Skip(reason)


@dataclass(eq=False)
class Subject:
    """One record with what its loader gives.

    Args:
        record: as the plugin announces it.
        load: returns the attribute that the record's loader names. Raises ``MissingError`` when a needed
            distribution is not there.
        argument: what follows the colon in ``name:ARGUMENT``.
        importable: whether another process finds the loader by the record's ``"module:attr"``.
        data_root: folder under which downloaded datasets are looked for.
    """

    record: Record
    load: Callable[[], Any]
    argument: str = ""
    importable: bool = False
    data_root: Path = field(default_factory=lambda: _default_data_root())
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of_offer(cls, offer: Offer, argument: str = "") -> Subject:
        """The subject of a record that a plugin announced."""
        host = PluginHost((), {})
        return cls(offer.record, lambda: host.load(Found(offer, argument)), argument, importable=True)

    @classmethod
    def of_object(cls, record: Record, attribute: Any, argument: str = "") -> Subject:
        """A subject whose loader's attribute is at hand, for tests of things that no plugin announces."""
        return cls(record, lambda: attribute, argument)

    @property
    def label(self) -> str:
        """Kind and name."""
        argument = f":{self.argument}" if self.argument else ""
        return f"{self.record.kind.value} {self.record.name}{argument}"

    def once(self, name: str, make: Callable[[], T]) -> T:
        """The value that ``make`` gave the first time: several checks share one costly answer."""
        if name not in self._kept:
            self._kept[name] = make()
        kept: T = self._kept[name]
        return kept


CheckFunction = Callable[[Subject], None]


def run_check(function: CheckFunction, subject: Subject) -> Check:
    """Run one check without network and say what became of it; it never raises for what a plugin does."""
    name = function.__name__
    try:
        with forbid_network():
            function(subject)
    except Skip as reason:
        return Check(Outcome.SKIPPED, subject.label, name, str(reason))
    except MissingError as error:
        return Check(
            Outcome.SKIPPED, subject.label, name, f"not available here: {error.message.splitlines()[0]}"
        )
    except Broken as error:
        return Check(Outcome.FAILED, subject.label, name, _one_line(error))
    except Exception as error:  # whatever an outsider's object raises is its failure, not ours
        return Check(Outcome.FAILED, subject.label, name, f"{type(error).__name__}: {_one_line(error)}")
    return Check(Outcome.PASSED, subject.label, name)


def run_checks(functions: Sequence[CheckFunction], subject: Subject) -> tuple[Check, ...]:
    """Run checks in their order. When the subject needs an argument and has none, all of them are skipped."""
    takes = subject.record.takes
    if takes and not takes.startswith("[") and not subject.argument:
        reason = f"needs {takes}: check it as {subject.record.name}:{takes} with lpcm.testing"
        return tuple(Check(Outcome.SKIPPED, subject.label, f.__name__, reason) for f in functions)
    return tuple(run_check(function, subject) for function in functions)


def refuses(act: Callable[[], Any], what: str) -> None:
    """Expect ``act`` to raise an ``LpcmError``: an error that tells the user what to do."""
    try:
        act()
    except LpcmError:
        return
    except Exception as error:
        raise Broken(
            f"{what}: raised {type(error).__name__}, expected an error of lpcm.errors that says what to do"
        ) from error
    raise Broken(f"{what}: nothing was raised, expected an error of lpcm.errors")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _default_data_root() -> Path:
    store = os.environ.get("LPCM_STORE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lpcm"
    return (Path(store).expanduser() if store else base) / "data"
