"""``lpcm-train``: trains a pair by a recipe, given by flags, a file, or a file that flags change.

Typing the same command again goes on where it was stopped. Exit codes are those of ``lpcm-eval``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lpcm.cli.common import add_store, host_of, print_json, store_of
from lpcm.cli.main import EXIT_INTERRUPTED, Parser, add_common
from lpcm.errors import EXIT_DONE, EXIT_USAGE, LpcmError
from lpcm.study.memory import keep_freed_memory
from lpcm.train.recipe import Recipe, load

if TYPE_CHECKING:
    from lpcm.train.assemble import Assembled
    from lpcm.train.loop import Epoch, Training

_RUNS = Path("runs")


def parser() -> Parser:
    """The flags of ``lpcm-train``."""
    p = Parser(
        prog="lpcm-train",
        description="Train heads on two towers, and the towers if asked, by the contrastive loss; the result is the "
        "encoder run:DIR.",
        epilog="Example: lpcm-train --encoder lite0-raw --text-encoder lite0 --dataset emoji",
        allow_abbrev=False,
    )
    p.add_argument(
        "recipe", nargs="?", type=Path, metavar="RECIPE.toml", help="recipe file; flags change its fields"
    )
    for f in fields(Recipe):
        flag = f"--{f.name.replace('_', '-')}"
        about = f.metadata["help"].replace("%", "%%")
        if f.name == "set":
            p.add_argument(flag, action="append", metavar=f.metadata["metavar"], help=about)
        else:
            p.add_argument(flag, metavar=f.metadata["metavar"], help=about)
    p.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the training (default: runs/NAME, of the recipe)"
    )
    p.add_argument("--data-root", type=Path, metavar="DIR", help="folder of downloaded datasets")
    p.add_argument("--device", default="cpu", metavar="cpu|cuda[:N]", help="where the towers run")
    p.add_argument("--allow-download", action="store_true", help="let datasets be downloaded")
    p.add_argument("--offline", action="store_true", help="never open a connection")
    p.add_argument("--quiet", action="store_true", help="no progress")
    p.add_argument(
        "--compare-batches",
        metavar="LIST",
        help="train once for each batch size at the same number of epochs, and print what each came to",
    )
    add_store(p)
    add_common(p)
    p.set_defaults(command="train")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Train and return the exit code."""
    try:
        return _run(parser().parse_args(argv))
    except LpcmError as error:
        print(f"lpcm-train: {error.message}", file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nlpcm-train: interrupted; type the same command again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED
    except SystemExit as stop:  # argparse's --help
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE


def run() -> NoReturn:
    """Entry point of the ``lpcm-train`` script."""
    sys.exit(main())


def _run(arguments: argparse.Namespace) -> int:
    recipe = asked(arguments)
    keep_freed_memory()
    host, store = host_of(arguments), store_of(arguments)
    from lpcm.store.files import FileDigests
    from lpcm.train.assemble import Place, assemble

    place = Place(
        store=store,
        data_root=arguments.data_root or store / "data",
        device=arguments.device,
        offline=arguments.offline,
        allow_download=arguments.allow_download,
    )
    from lpcm.train.batch_sizes import compare, parse_sizes, table

    teller = _Teller(arguments.quiet)
    sizes = parse_sizes(arguments.compare_batches) if arguments.compare_batches is not None else ()
    with FileDigests(store / "files.sqlite") as files:
        assembled = assemble(recipe, host, files, place, teller.extraction)
    for note in assembled.notes:
        teller.note(note)
    if sizes:
        curve = compare(assembled.recipe, assembled, sizes, teller.note)
        print_json([point.told() for point in curve]) if arguments.json else print(table(curve))
        return EXIT_DONE
    return _train(arguments, assembled, teller)


def _train(arguments: argparse.Namespace, assembled: Assembled, teller: _Teller) -> int:
    from lpcm.keys import Key
    from lpcm.store.digest import digest_of
    from lpcm.train.folder import TrainingFolder
    from lpcm.train.loop import Training

    recipe = assembled.recipe
    label = "-".join([recipe.encoder, *recipe.dataset]).replace(":", "-").replace("/", "-").strip("-.")
    home = arguments.out or _RUNS / f"train-{label[:80]}-{digest_of(assembled.about)[:8]}"
    folder = TrainingFolder(home, assembled.about)
    training = Training(
        assembled.pair,
        recipe,
        assembled.train,
        assembled.val,
        Key.of(recipe.seed).fold("train"),
        assembled.inputs,
        teller.extraction,
    )
    teller.start(training)
    progress = training.run(folder, teller.epoch)
    result = progress.epochs[progress.best - 1].told() if progress.best else None
    if arguments.json:
        print_json(
            {
                "folder": str(folder.path),
                "encoder": f"run:{folder.path}",
                "epoch": progress.best,
                "result": result,
                "epochs": [epoch.told() for epoch in progress.epochs],
                "clamped": progress.clamped,
            }
        )
        return EXIT_DONE
    if progress.best:
        best = progress.epochs[progress.best - 1]
        print(f"kept: epoch {best.number} of {len(progress.epochs)}, {_said(best)}")
    else:
        print("kept: the weights as they began, since no epoch was better on validation")
    print(f"score it: lpcm-eval --encoder run:{folder.path} --task retrieval --dataset {recipe.dataset[0]}")
    print(f"results: {folder.path}")
    return EXIT_DONE


def asked(arguments: argparse.Namespace) -> Recipe:
    """The recipe of a file and of the flags that change it."""
    given = {f.name: getattr(arguments, f.name) for f in fields(Recipe)}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.recipe is None:
        return Recipe.parse(given, "command line")
    source = f"{arguments.recipe} and command line" if given else str(arguments.recipe)
    return Recipe.parse({**load(arguments.recipe), **given}, source)


def _said(epoch: Epoch) -> str:
    parts = [f"loss {epoch.loss:.3f}", f"temperature {epoch.temperature:.4f}"]
    if epoch.val is not None:
        parts.append(
            f"validation R@1 {epoch.val.image_to_text:.3f} image to text of {epoch.val.texts}, "
            f"{epoch.val.text_to_image:.3f} text to image of {epoch.val.images}"
        )
    return ", ".join(parts)


class _Teller:
    """Says on standard error how far it is."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._training: Training | None = None
        self._last: tuple[str, int] = ("", 0)
        self._clamped = False

    def note(self, text: str) -> None:
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def extraction(self, what: str, done: int, total: int) -> None:
        """A line for each tenth."""
        tenth = (what, 10 * done // max(total, 1))
        if tenth != self._last:
            self._last = tenth
            self.note(f"{what}: {done} of {total} images")

    def start(self, training: Training) -> None:
        self._training = training

    def epoch(self, epoch: Epoch) -> None:
        training = self._training
        assert training is not None  # start() is called first
        self.note(f"epoch {epoch.number} of {training.recipe.epochs}: {_said(epoch)}")
        if training.progress.clamped and not self._clamped:
            self._clamped = True
            self.note(
                f"the temperature ran away and is held at 1 / {training.recipe.max_scale:g}: "
                "--max-scale moves the bound, --label-smoothing or a lower --lr take the cause away"
            )


if __name__ == "__main__":
    run()
