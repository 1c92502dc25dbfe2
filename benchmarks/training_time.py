"""What training heads costs: ten epochs over 12,000 pairs, and one step in which 16,384 pairs are one batch.

    OMP_NUM_THREADS=1 python benchmarks/training_time.py [--store DIR]

Pairs are drawings and their names (`drawn-names:two-views`, lpcm-lite); their features are computed first where the
store does not have them, which is not counted (17,554 drawings, some 20 minutes). Recipe: lpcm-train's defaults.
Seconds are processor time of the one thread, which other work on a machine hardly moves; the parts of a step are the
median of three turns, in which the contenders follow each other.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch

from lpcm.cli.common import add_store, store_of
from lpcm.keys import Key
from lpcm.loss import contrastive_loss
from lpcm.plugin.host import PluginHost
from lpcm.store.files import FileDigests
from lpcm.train.assemble import Assembled, Place, assemble
from lpcm.train.heads import Pair
from lpcm.train.loop import Training
from lpcm.train.pairs import Pairs
from lpcm.train.recipe import Recipe

EPOCHS, PAIRS, BATCH, TURNS = 10, 12_000, 16_384, 3
KEY = Key.of(0).fold("training time")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_store(parser)
    store = store_of(parser.parse_args())
    torch.set_num_threads(1)
    recipe = Recipe.parse(
        {"encoder": "lite0-raw", "text_encoder": "lite0", "dataset": "drawn-names:two-views"}, "here"
    )
    with FileDigests(store / "files.sqlite") as files:
        place = Place(store=store, data_root=store / "data", offline=True)
        found = assemble(recipe, PluginHost.discover(), files, place, _tell)
    epochs(found)
    step(found)


def epochs(found: Assembled) -> None:
    """Ten epochs over 12,000 pairs, validation and the copies of the best weights included."""
    train = _some(found.train, PAIRS)
    for precision in ("fp32", "bf16"):
        asked = replace(found.recipe, epochs=EPOCHS, patience=0, precision=precision)
        training = Training(deepcopy(found.pair), asked, train, found.val, KEY)
        start = time.process_time()
        progress = training.run()
        spent = time.process_time() - start
        print(
            f"{EPOCHS} epochs, {len(train)} pairs of {len(train.texts)} texts, batch {asked.batch}, {precision}: "
            f"{spent:.1f} s, validation {progress.best_score:.3f} at epoch {progress.best}",
            flush=True,
        )


def step(found: Assembled) -> None:
    """Forward and backward of one batch: heads and loss, and each alone."""
    train = _some(found.train, BATCH)
    images, texts = torch.from_numpy(train.images), torch.from_numpy(train.texts)
    columns = torch.from_numpy(train.items)
    contenders: dict[str, Callable[[], None]] = {
        f"{BATCH} x {len(texts)}, bf16, heads and loss": lambda: _whole(
            found.pair, images, texts, columns, True
        ),
        f"{BATCH} x {len(texts)}, fp32, heads and loss": lambda: _whole(
            found.pair, images, texts, columns, False
        ),
        f"{BATCH} x {len(texts)}, bf16, heads alone": lambda: _heads(found.pair, images, texts, True),
        f"{BATCH} x {len(texts)}, fp32, heads alone": lambda: _heads(found.pair, images, texts, False),
        f"{BATCH} x {BATCH}, bf16, heads and loss, a column an image": lambda: _whole(
            found.pair, images, texts[columns], None, True
        ),
    }
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(TURNS):
        for name, contender in contenders.items():
            found.pair.zero_grad(set_to_none=True)
            start = time.process_time()
            contender()
            spent[name].append(time.process_time() - start)
    first = statistics.median(next(iter(spent.values())))
    for name, seconds in spent.items():
        found_in = statistics.median(seconds)
        print(f"{name}: {found_in:.2f} s, {found_in / first:.2f} of the first")


def _placed(
    pair: Pair, images: torch.Tensor, texts: torch.Tensor, half: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        return pair.images(images), pair.texts(texts)


def _heads(pair: Pair, images: torch.Tensor, texts: torch.Tensor, half: bool) -> None:
    x, y = _placed(pair, images, texts, half)
    (x.sum() + y.sum()).backward()  # type: ignore[no-untyped-call]


def _whole(
    pair: Pair, images: torch.Tensor, texts: torch.Tensor, columns: torch.Tensor | None, half: bool
) -> None:
    x, y = _placed(pair, images, texts, half)
    loss = contrastive_loss(x, y, pair.scale, labels=columns, precision="bf16" if half else "auto")
    loss.backward()  # type: ignore[no-untyped-call]


def _some(pairs: Pairs, n: int) -> Pairs:
    """N of the pairs, drawn by key, and their texts; each image has one."""
    rows = np.sort(KEY.fold("rows", n).generator().permutation(len(pairs))[:n])
    texts, items = np.unique(pairs.items[rows], return_inverse=True)
    return Pairs(pairs.images[rows], pairs.texts[texts], np.arange(n), items.reshape(-1).astype(np.int64))


def _tell(what: str, done: int, total: int) -> None:
    if done % 1024 == 0 or done == total:
        print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
