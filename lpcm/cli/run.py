"""``lpcm-eval run``: carries out a study, or a suite of them, given by flags, a file, or a file that flags change."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpcm.cli.common import add_store, host_of, print_json, store_of
from lpcm.errors import (
    EXIT_CELLS_FAILED,
    EXIT_DONE,
    EXIT_MISSING,
    EXIT_USAGE,
    LpcmError,
    MissingError,
)
from lpcm.study.crew import Jobs
from lpcm.study.layers import joined
from lpcm.study.memory import keep_freed_memory
from lpcm.study.progress import Reporter
from lpcm.study.run_folder import write_parts
from lpcm.study.runner import Run, Runner
from lpcm.study.spec import Study
from lpcm.study.suite import Part, find_study, is_suite, parts_of

if TYPE_CHECKING:
    from rich.progress import TaskID


def add_arguments(command: argparse.ArgumentParser) -> None:
    """One flag a field of the study; see ``lpcm.study.spec``."""
    command.add_argument(
        "study",
        nargs="?",
        type=Path,
        metavar="STUDY.toml",
        help="study file, or the name of one that lpcm brings; flags change its fields",
    )
    for f in fields(Study):
        flag = f"--{f.name.replace('_', '-')}"
        if isinstance(f.default, bool):
            command.add_argument(flag, action="store_true", default=None, help=f.metadata["help"])
        elif f.name == "set":
            command.add_argument(
                flag, action="append", metavar=f.metadata["metavar"], help=f.metadata["help"]
            )
        else:
            command.add_argument(flag, metavar=f.metadata["metavar"], help=_escaped(f.metadata["help"]))
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the run (default: runs/NAME, the same for the same study)",
    )
    command.add_argument(
        "--jobs",
        type=_processes,
        default=1,
        metavar="N",
        help="compute N cells at a time, in processes that share the cores and the store (default: 1)",
    )
    command.add_argument("--quiet", action="store_true", help="no progress")
    add_store(command)


def run(arguments: argparse.Namespace) -> int:
    """Run the study, or the parts of a suite one after the other, and print a table of each."""
    parts, suite = asked(arguments)
    keep_freed_memory()
    host, store = host_of(arguments), store_of(arguments)
    jobs = Jobs(arguments.jobs, tuple(arguments.no_plugin), tuple(Path(p) for p in arguments.plugin))
    home = (arguments.out or Path("runs") / suite) if suite else arguments.out
    if suite:
        write_parts(home, [part.name for part in parts])
    done: list[tuple[str, Run]] = []
    for part in parts:
        reporter = Reporter() if arguments.quiet else TerminalReporter()
        if suite:
            reporter.note(f"part {part.name}, {len(done) + 1} of {len(parts)}")
        try:
            runner = Runner(host, store, reporter, jobs)
            result = runner.run(part.study, home / part.name if suite else home)
        except LpcmError as error:
            if not suite:
                raise
            # What cannot be planned is told, and the other parts are still run.
            done.append((part.name, _unplanned(home / part.name, error)))
            reporter.note(f"part {part.name}: {error.message}")
            continue
        finally:
            reporter.close() if isinstance(reporter, TerminalReporter) else None
        if not suite:
            _refuse_if_nothing_ran(result)
        done.append((part.name, result))
        if not arguments.json:
            _print_tables(result)
    code = max((result.exit_code for _, result in done), key=_SEVERITY.index)
    if arguments.json:
        print_json(_answer(done, home if suite else None, code))
    return code


_SEVERITY = (EXIT_DONE, EXIT_CELLS_FAILED, EXIT_USAGE, EXIT_MISSING)


def asked(arguments: argparse.Namespace) -> tuple[tuple[Part, ...], str]:
    """What to run, and the name of the suite: empty for a single study."""
    if arguments.study is None:
        return (Part("", Study.parse(_given(arguments), "command line")),), ""
    file = find_study(arguments.study)
    values = Study.load(file)
    source = f"{file} and command line" if _given(arguments) else str(file)
    if is_suite(values):
        return parts_of(values, _given(arguments), source), file.stem
    return (Part("", Study.parse(joined(source, values, _given(arguments)), source)),), ""


def _refuse_if_nothing_ran(result: Run) -> None:
    """Where nothing could run, the reason is the answer, not an empty table."""
    if all(
        row["status"] == "failed" and row["error"]["type"] == MissingError.__name__ for row in result.rows
    ):
        error = result.rows[0]["error"]
        raise MissingError(error["message"], error["hint"])


def _unplanned(folder: Path, error: LpcmError) -> Run:
    told = {"status": "failed", "cell": {}, "error": {"message": error.message, "hint": error.hint}}
    return Run(folder, (told,), (), error.exit_code)


def _print_tables(result: Run) -> None:
    from rich.console import Console

    from lpcm.report.table import print_run

    console = Console(width=None if sys.stdout.isatty() else 160, soft_wrap=not sys.stdout.isatty())
    print_run(console, result.rows, result.summary)
    console.print(f"\nresults: {result.folder}", highlight=False, markup=False)


def _answer(done: Sequence[tuple[str, Run]], suite: Path | None, code: int) -> dict[str, Any]:
    answers = [
        {"folder": str(run.folder), "exit_code": run.exit_code, "summary": list(run.summary)}
        for _, run in done
    ]
    if suite is None:
        return answers[0]
    named = [
        {"name": name, **answer, **({"error": run.rows[0]["error"]} if not run.summary else {})}
        for (name, run), answer in zip(done, answers, strict=True)
    ]
    return {"folder": str(suite), "exit_code": code, "parts": named}


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    names = [f.name for f in fields(Study)]
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def _processes(text: str) -> int:
    """The value of ``--jobs``."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


class TerminalReporter(Reporter):
    """Draws progress on standard error: bars on a terminal, a line now and then elsewhere."""

    _LINE_SECONDS = 10.0

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bars: dict[str, TaskID] = {}
        self._first: dict[str, tuple[int, float]] = {}
        self._said = 0.0
        self._cells = (0, 0)

    def plan(self, cells: int, done: int) -> None:
        """Say how much there is to do."""
        self._cells = (done, cells)
        if done:
            self.note(
                f"{done} of {cells} cells are in the store" + (": nothing to do" if done == cells else "")
            )
        if done < cells:
            self._progress.start()
            self._bars["cells"] = self._progress.add_task("cells", total=cells, completed=done, rate="")

    def extraction(self, what: str, done: int, total: int) -> None:
        """Show how many images are encoded, and how fast."""
        # From the second batch on: the first one also waits for weights and workers.
        first, since = self._first.setdefault(what, (done, time.monotonic()))
        elapsed = time.monotonic() - since
        rate = f"{(done - first) / elapsed:.0f} images/s" if done > first and elapsed > 0 else ""
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(what, total=total, rate="")
        self._progress.update(self._bars[what], completed=done, total=total, rate=rate, visible=done < total)
        self._line(f"{what}: {done} of {total} images" + (f", {rate}" if rate else ""), last=done == total)

    def step(self, what: str, done: int, total: int, said: str) -> None:
        """Show how far a long cell is."""
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(what, total=total, rate="")
        self._progress.update(self._bars[what], completed=done, total=total, rate=said, visible=done < total)
        self._line(f"{what}: {done} of {total}, {said}", last=done == total)

    def cell(self, row: Mapping[str, Any]) -> None:
        """Count a finished cell."""
        self._cells = (self._cells[0] + 1, self._cells[1])
        if "cells" in self._bars:
            self._progress.advance(self._bars["cells"])
        self._line(f"{self._cells[0]} of {self._cells[1]} cells", last=self._cells[0] == self._cells[1])

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Take the bars away."""
        self._progress.stop()

    def _line(self, text: str, *, last: bool) -> None:
        now = time.monotonic()
        if not self._console.is_terminal and (last or now - self._said > self._LINE_SECONDS):
            self._said = now
            self.note(text)
