"""``lpcm-eval show RUN``: the table of a run, from its folder alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lpcm.cli.common import print_json
from lpcm.errors import EXIT_CELLS_FAILED, EXIT_DONE, UsageError, nearest


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The run to show."""
    command.add_argument("run_folder", metavar="RUN", help="folder of a run, or its name in runs/")
    command.add_argument("--markdown", action="store_true", help="print the tables as Markdown")


def run(arguments: argparse.Namespace) -> int:
    """Print the run."""
    from lpcm.study.run_folder import read_run

    if arguments.json and arguments.markdown:
        raise UsageError("--json and --markdown were given: expected one of them")
    finished = read_run(find_run(arguments.run_folder))
    failed = any(row["status"] == "failed" for row in finished.rows)
    if arguments.json:
        print_json({"rows": list(finished.rows), "summary": list(finished.summary)})
    elif arguments.markdown:
        from lpcm.report.markdown import markdown_of

        print(markdown_of(finished.rows, finished.summary), end="")
    else:
        from rich.console import Console

        from lpcm.report.table import print_run

        print_run(
            Console(width=None if sys.stdout.isatty() else 160, soft_wrap=not sys.stdout.isatty()),
            finished.rows,
            finished.summary,
        )
    return EXIT_CELLS_FAILED if failed else EXIT_DONE


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
