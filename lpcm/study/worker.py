"""One worker process: makes the plan again, computes the cells that it is handed, and says what became of them.

Refuses to outlive the process that started it, and to answer Ctrl-C: that is its parent's.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO

from lpcm.errors import LpcmError
from lpcm.study.memory import keep_freed_memory
from lpcm.study.progress import Reporter
from lpcm.study.spec import Study


@dataclass(frozen=True)
class Order:
    """What a worker works on.

    Args:
        study: as asked.
        store: folder of features and results.
        without: plugins that are not even imported.
        files: one-file plugins.
        threads: those that a run in one process would have.
    """

    study: Study
    store: Path
    without: tuple[str, ...]
    files: tuple[Path, ...]
    threads: int


@dataclass(frozen=True)
class Job:
    """A cell to compute: its place in the plan, and its key, which says whether both sides mean the same."""

    place: int
    key: str


@dataclass(frozen=True)
class Ready:
    """The worker has its plan."""


@dataclass(frozen=True)
class Refused:
    """The worker cannot have its plan."""

    message: str
    hint: str


@dataclass(frozen=True)
class Told:
    """A method of the reporter that is to be called where the user looks."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Warned:
    """A warning of Python, as it is printed."""

    text: str


def work(connection: Connection, order: Order) -> None:
    """Compute jobs from a connection until it is closed.

    Args:
        connection: receives ``Job``; sends ``Ready`` or ``Refused``, then ``Told``, ``Warned`` and, for each job,
            ``Made``.
        order: what they are part of.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends processes of its own too
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()

    def warn(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Where the user looks, since a process of its own would break into the bars."""
        connection.send(Warned(warnings.formatwarning(message, category, filename, lineno, line)))

    warnings.showwarning = warn
    try:
        _work(connection, order)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # no more jobs, or nobody to tell


def _end_with_parent() -> None:
    """Wait for the process that started this one, which may be killed without a word, and end with it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _work(connection: Connection, order: Order) -> None:
    from lpcm.plugin.host import PluginHost
    from lpcm.store.files import FileDigests
    from lpcm.study.plan import make_plan
    from lpcm.study.rows import failed_row
    from lpcm.study.station import Made, Station

    with FileDigests(order.store / "files.sqlite") as files:
        try:
            host = PluginHost.discover(without=order.without, files=order.files)
            plan = make_plan(order.study, host, files, order.store)
        except LpcmError as error:
            connection.send(Refused(error.message, error.hint))
            return
        features = None
        if plan.encoders:
            from lpcm.study.patient import PatientStore

            features = PatientStore(order.store, files, order.threads)
        station = Station(plan, host, order.store, features, Relay(connection))
        connection.send(Ready())
        while True:
            job: Job = connection.recv()
            planned = plan.cells[job.place]
            if planned.key == job.key:
                connection.send(station.make(planned))
            else:
                moved = LpcmError("code or data changed while the study was running", "run it again")
                connection.send(Made(failed_row(planned.cell, job.key, moved), own=True))


class Relay(Reporter):
    """Hands what a worker tells to the process that draws it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def extraction(self, what: str, done: int, total: int) -> None:
        """So many images of one split were encoded."""
        self._tell("extraction", what, done, total)

    def note(self, text: str) -> None:
        """Something that the user should know now."""
        self._tell("note", text)

    def step(self, what: str, done: int, total: int, said: str) -> None:
        """A cell that takes long is so far."""
        self._tell("step", what, done, total, said)

    def cell(self, row: Mapping[str, Any]) -> None:
        """Told by the parent, who has the row."""

    def _tell(self, method: str, *arguments: Any) -> None:
        self._connection.send(Told(method, arguments))
