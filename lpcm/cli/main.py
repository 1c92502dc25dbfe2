"""``lpcm-eval``: finds the command, runs it, and turns errors into messages and exit codes.

Exit codes: 0 done; 1 some cells failed; 2 wrong usage; 3 a needed plugin, weights or dataset is missing;
130 interrupted (typing the same command again goes on).
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from lpcm.errors import EXIT_CELLS_FAILED, EXIT_DONE, EXIT_USAGE, LpcmError, UsageError, nearest

COMMANDS = {
    "run": "score encoders: the product of encoders, disentanglers, tasks, datasets and seeds (the default command)",
    "ls": "list what the installed plugins offer",
    "plugins": "show, check and make plugins",
    "show": "print the table of a finished run",
    "cache": "look after stored features and results",
    "doctor": "say what this machine is and what of lpcm works on it",
}
EXIT_INTERRUPTED = 130
_OUT_OF_OUR_HANDS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
"""Faults of the disk that are told without a traceback."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours, with the nearest right word."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that every error is printed in one way."""
        raise UsageError(message, f"type: {self.prog} --help")


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="lpcm-eval",
        description="Score encoders of images and text, honestly: with intervals, nulls and controls.",
        epilog="Bare flags mean `run`: lpcm-eval --encoder lite0 --task fewshot. Each command has --help.",
        allow_abbrev=False,
    )
    from lpcm import __version__

    parser.add_argument("--version", action="version", version=f"lpcm {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser, required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False
        )
        add_common(command)
        import_module(f"lpcm.cli.{name}").add_arguments(command)
    return parser


def add_common(command: argparse.ArgumentParser) -> None:
    """Flags that every command has."""
    group = command.add_argument_group("plugins and output")
    group.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE.py",
        help="load a one-file plugin; may be repeated",
    )
    group.add_argument(
        "--no-plugin",
        action="append",
        default=[],
        metavar="NAME",
        help="leave a plugin out before it is imported; may be repeated",
    )
    group.add_argument("--json", action="store_true", help="print JSON for machines")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments and arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version"):
            arguments.insert(0, "run")
        if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
            raise UsageError(
                f"no command is called {arguments[0]!r}",
                nearest(arguments[0], COMMANDS) or "type: lpcm-eval --help",
            )
        parsed = build_parser().parse_args(arguments)
        code: int = import_module(f"lpcm.cli.{parsed.command}").run(parsed)
        return code
    except LpcmError as error:
        print(f"lpcm-eval: {error.message}", file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "\nlpcm-eval: interrupted; finished cells are kept: type the same command again to go on",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left: not an error. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:
        if error.errno not in _OUT_OF_OUR_HANDS:
            raise
        print(f"lpcm-eval: {error}", file=sys.stderr)
        print("finished cells are kept: make room or give --store and --out other folders", file=sys.stderr)
        return EXIT_CELLS_FAILED
    except SystemExit as stop:  # argparse's --help and --version
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE


def run() -> NoReturn:
    """Entry point of the ``lpcm-eval`` script."""
    sys.exit(main())
