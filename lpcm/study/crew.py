"""The crew: computes the cells of a study in several processes that share the store.

A worker that dies costs one more try of the cell that it was at, and then that cell's row says so. Refuses to leave a
worker behind, however the crew ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from lpcm.environment import variables
from lpcm.errors import LpcmError
from lpcm.study.plan import PlannedCell
from lpcm.study.progress import Reporter
from lpcm.study.rows import failed_row
from lpcm.study.spec import Study
from lpcm.study.station import Made, group_of
from lpcm.study.worker import Job, Order, Ready, Refused, Told, Warned, work

_TRIES = 2
_PATIENCE = 5.0  # seconds that workers have to end by themselves
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerDiedError(LpcmError):
    """The process that computed a cell ended before it was done."""


@dataclass(frozen=True)
class Jobs:
    """How many processes compute, and which plugins they load.

    Args:
        count: processes; 1 computes in this one.
        without, files: what this process's ``PluginHost.discover`` was given.
    """

    count: int = 1
    without: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(eq=False)
class _Task:
    """A cell that is waited for; ``like`` is what it shares with others, fitted disentanglers for example."""

    place: int
    planned: PlannedCell
    tries: int = 0
    like: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.like = (*group_of(self.planned), str(self.planned.cell.axes.get("disentangler", "")))


@dataclass(eq=False)
class _Worker:
    """A process with the cell that it is at."""

    process: BaseProcess
    connection: Connection
    task: _Task


class Crew:
    """Worker processes for the cells of one study; a context manager, which ends them.

    Args:
        jobs: how many, and with which plugins.
        study: as asked.
        store: folder of features and results.
        reporter: told what the workers tell.
    """

    def __init__(self, jobs: Jobs, study: Study, store: Path, reporter: Reporter) -> None:
        self._jobs = jobs
        self._order = Order(study, store, jobs.without, jobs.files, threads())
        self._reporter = reporter
        self._context = multiprocessing.get_context("spawn")  # torch cannot be forked once it has threads
        self._workers: list[_Worker] = []
        self._ending: list[BaseProcess] = []
        self._said: set[str] = set()
        self._began = False

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes = self._ending + [worker.process for worker in self._workers]
        for worker in self._workers:
            worker.connection.close()
            worker.process.terminate()
        deadline = time.monotonic() + _PATIENCE
        for process in processes:
            process.join(max(deadline - time.monotonic(), 0))
            if process.is_alive():
                process.kill()
                process.join()

    def make(self, cells: Sequence[tuple[int, PlannedCell]]) -> Generator[tuple[int, Made]]:
        """Compute cells; each comes with its place as soon as it is done.

        Args:
            cells: places in the plan, with what is there.

        Raises:
            LpcmError: when no worker can begin.
        """
        waiting = _Waiting([_Task(place, planned) for place, planned in cells])
        share = max(1, self._order.threads // min(self._jobs.count, len(cells)))
        while len(self._workers) < self._jobs.count and (task := waiting.take(self._tasks())):
            self._hire(task, share)
        while self._workers:
            for connection in wait([worker.connection for worker in self._workers]):
                worker = next(w for w in self._workers if w.connection is connection)
                made = self._listen(worker)
                if isinstance(made, WorkerDiedError):
                    worker.task.tries += 1
                    self._workers.remove(worker)
                    if worker.task.tries < _TRIES:
                        self._reporter.note(f"{made.message}; it is tried again")
                        self._hire(worker.task, share)
                        continue
                    planned = worker.task.planned
                    yield worker.task.place, Made(failed_row(planned.cell, planned.key, made), own=True)
                    if task := waiting.take(self._tasks()):
                        self._hire(task, share)
                elif made is not None:
                    done = worker.task
                    self._go_on(worker, waiting)
                    yield done.place, made

    def _tasks(self) -> list[_Task]:
        return [worker.task for worker in self._workers]

    def _hire(self, task: _Task, share: int) -> None:
        """Start a process, which begins with that cell."""
        here, there = self._context.Pipe()
        process = self._context.Process(target=work, args=(there, self._order), name="lpcm-worker")
        worker = _Worker(process, here, task)
        with _interrupts_held():
            with variables(dict.fromkeys(_THREADS, str(share))):  # libraries read them when they are loaded
                process.start()
            self._workers.append(worker)
        there.close()  # or its end would never be seen
        _hand(worker, task)

    def _go_on(self, worker: _Worker, waiting: _Waiting) -> None:
        """Hand a worker its next cell, or let it go."""
        others = [other.task for other in self._workers if other is not worker]
        if task := waiting.take(others, worker.task.like):
            _hand(worker, task)
            return
        worker.connection.close()  # it ends when it looks for more
        self._workers.remove(worker)
        self._ending.append(worker.process)

    def _listen(self, worker: _Worker) -> Made | WorkerDiedError | None:
        """What became of the worker's cell; ``None`` where it is still at it."""
        try:
            said: Made | Refused | Ready | Warned | Told = worker.connection.recv()
        except (EOFError, OSError):  # the latter in the middle of a message
            worker.connection.close()
            worker.process.join()
            return self._obituary(worker)
        if isinstance(said, Made):
            return said
        if isinstance(said, Refused):
            raise LpcmError(said.message, said.hint)
        if isinstance(said, Ready):
            self._began = True
        elif isinstance(said, Warned):
            self._once(said.text, lambda: print(said.text, end="", file=sys.stderr))
        elif said.method == "note":
            self._once(said.arguments[0], lambda: self._reporter.note(said.arguments[0]))
        else:
            getattr(self._reporter, said.method)(*said.arguments)
        return None

    def _once(self, text: str, say: Callable[[], None]) -> None:
        """Every worker that reads a block has the same to say of it."""
        if text not in self._said:
            self._said.add(text)
            say()

    def _obituary(self, worker: _Worker) -> WorkerDiedError:
        how = _ended(worker.process.exitcode)
        if not self._began:
            raise LpcmError(
                f"a worker process ended before it could begin: {how}",
                "a script needs `if __name__ == '__main__':` around what it runs; --jobs 1 needs no workers",
            )
        cell = ", ".join(f"{name} {value}" for name, value in worker.task.planned.cell.axes.items())
        return WorkerDiedError(
            f"the process that computed {cell} {how}",
            "where memory ran out, fewer --jobs need less; where it dies each time, --jobs 1 shows why",
        )


class _Waiting:
    """Cells that nobody is at, by what they have in common."""

    def __init__(self, tasks: Sequence[_Task]) -> None:
        self._batches: dict[tuple[str, ...], deque[_Task]] = {}
        for task in tasks:
            self._batches.setdefault(task.like, deque()).append(task)

    def take(self, busy: Sequence[_Task], like: tuple[str, ...] | None = None) -> _Task | None:
        """The next cell: one like the last, else one that nobody else has the like of, else of the longest batch."""
        batches = {name: batch for name, batch in self._batches.items() if batch}
        if not batches:
            return None
        taken = {task.like for task in busy}
        free = [name for name in batches if name not in taken]
        name = (
            like
            if like is not None and like in batches
            else free[0]
            if free
            else max(batches, key=lambda name: len(batches[name]))
        )
        return batches[name].popleft()


def threads() -> int:
    """Threads that a computation in this process has: ``OMP_NUM_THREADS``, or as many as there are cores for it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(asked), cores) if asked.isdigit() and int(asked) else cores


def _hand(worker: _Worker, task: _Task) -> None:
    worker.task = task
    with suppress(OSError):  # it has died, which the next look at its connection tells
        worker.connection.send(Job(task.place, task.planned.key))


def _ended(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None or code >= 0:
        return f"ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        name = "no name"
    return f"was killed by signal {-code} ({name})"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits meanwhile: a process that is started inherits that, until it says what it does with it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before: set[Any] = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
