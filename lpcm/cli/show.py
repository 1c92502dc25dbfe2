"""``lpcm-eval show RUN``: the tables of a run or a suite, from its folder alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lpcm.cli.common import print_json
from lpcm.errors import EXIT_CELLS_FAILED, EXIT_DONE, UsageError, nearest

if TYPE_CHECKING:
    from lpcm.study.run_folder import Finished


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The run to show."""
    command.add_argument("run_folder", metavar="RUN", help="folder of a run or a suite, or its name in runs/")
    command.add_argument("--markdown", action="store_true", help="print the tables as Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Print the run, or the parts of a suite one after the other."""
    from lpcm.study.run_folder import parts_in, read_run

    if arguments.json and arguments.markdown:
        raise UsageError("--json and --markdown were given: expected one of them")
    folder = find_run(arguments.run_folder)
    parts = parts_in(folder)
    runs = {name: read_run(folder / name) for name in parts} if parts else {"": read_run(folder)}
    if arguments.json:
        told = [{"rows": list(run.rows), "summary": list(run.summary)} for run in runs.values()]
        print_json(
            {"parts": [{"name": name, **one} for name, one in zip(runs, told, strict=True)]}
            if parts
            else told[0]
        )
    for name, finished in runs.items():
        if arguments.markdown:
            from lpcm.report.markdown import markdown_of

            heading = f"## {name}\n\n" if name else ""
            print(heading + markdown_of(finished.rows, finished.summary), end="\n" if name else "")
        elif not arguments.json:
            _print_tables(name, finished)
    failed = any(row["status"] == "failed" for finished in runs.values() for row in finished.rows)
    return EXIT_CELLS_FAILED if failed else EXIT_DONE


def _print_tables(name: str, finished: Finished) -> None:
    from rich.console import Console

    from lpcm.report.table import print_run

    console = Console(width=None if sys.stdout.isatty() else 160, soft_wrap=not sys.stdout.isatty())
    if name:
        console.print(f"\npart {name}", highlight=False, markup=False)
    print_run(console, finished.rows, finished.summary)


def find_run(text: str) -> Path:
    """The folder that ``text`` names: a path, or a name in ``runs``. Raises ``UsageError``."""
    for candidate in (Path(text).expanduser(), Path("runs") / text):
        if candidate.is_dir():
            return candidate
    known = [p.name for p in Path("runs").iterdir() if p.is_dir()] if Path("runs").is_dir() else []
    raise UsageError(
        f"no run {text!r}: neither a folder nor a name in runs/",
        nearest(text, known) or f"in runs/: {', '.join(known) or 'nothing'}",
    )
