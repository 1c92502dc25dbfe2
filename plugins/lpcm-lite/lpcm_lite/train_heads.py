"""Make the heads of `lite0-heads`: ``python -m lpcm_lite.train_heads [--store DIR] [--out FILE]``.

Trains on `drawn-names` (train; val chooses the epoch) and on pairs of an ImageNet class's weights in the classifier
and its name, which need no image. Prints how the heads do on concepts that were never trained on, beside ConSE, and
the SHA-256 of the file. Refuses to look at those concepts before the epoch is chosen.

The same versions, kind of processor and number of threads give the same bytes; the seed is 0. Others give features
that differ in their last bits, and so other weights that score alike.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lpcm.cli.common import add_store, print_columns, store_of
from lpcm.geometries.sphere import Sphere
from lpcm.keys import Key
from lpcm.plugin.contracts import DatasetOptions, EncoderOptions, Sample
from lpcm.store.features import FeatureStore
from lpcm.store.files import FileDigests
from lpcm.study.memory import keep_freed_memory
from lpcm.train import checkpoint
from lpcm.train.assemble import fresh_pair
from lpcm.train.heads import Pair, Shape
from lpcm.train.loop import Training
from lpcm.train.pairs import Pairs
from lpcm.train.recipe import Recipe
from lpcm.train.restored import told_shape
from lpcm.train.validation import Retrieval, recall
from lpcm_lite.datasets.drawn_names import HELD_OUT_STYLE, DrawnNames
from lpcm_lite.encoders import conse
from lpcm_lite.encoders.heads import heads_file
from lpcm_lite.encoders.towers import Lite0, Lite0Raw

RECIPE = Recipe.parse(
    {
        "encoder": "lite0-raw",
        "text_encoder": "lite0",
        "dataset": "drawn-names",
        "head": "mlp",
        "text_head": "residual",
        "hidden": 768,
        "epochs": 30,
        "batch": 512,
        "patience": 8,
        "lr": 1e-3,
        "weight_decay": 0.1,
        "noise": 0.3,
    },
    "lpcm_lite.train_heads",
)

GAIN = 0.5
"""How far from the mean drawing a class's weights are put, in deviations of each feature. Chosen on nothing."""

FEW = 264
"""Names of a smaller gallery, as many as an earlier trial on twelve styles of emoji had."""

THREADS = 1
"""Of torch while it trains: the number is part of what fixes the bytes."""


class Ingredients:
    """Features of all that the heads are trained and judged on, from the store or computed.

    Args:
        store: folder of features.
        files: digests of files.
        tell: told of progress.
    """

    def __init__(self, store: Path, files: FileDigests, tell: Callable[[str], None]) -> None:
        options = EncoderOptions(files=files, offline=True)
        self.raw, self.lite0 = Lite0Raw(options), Lite0(options)
        self.dataset = DrawnNames(DatasetOptions(root=store, offline=True, files=files))
        self._store = FeatureStore(store, files)
        self._tell = tell

    def texts(self, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """MiniLM's vectors, (m, 384)."""
        return self._store.texts(self.lite0, texts)

    def pairs(self, split: str, keep: Callable[[Sample], bool] = lambda sample: True) -> Pairs:
        """Drawings of a split and their names."""
        samples = [sample for sample in self.dataset.samples(split) if keep(sample)]
        rows = self._rows(split)
        images = np.stack([rows[sample.id] for sample in samples])
        return Pairs.of(images, [sample.captions for sample in samples], self.texts)

    def classes(self, like: Pairs) -> Pairs:
        """ImageNet's classifier weights as if they were features, and the class names that are not held out."""
        held = {
            caption.lower()
            for split in ("val", "test")
            for sample in self.dataset.samples(split)
            for caption in sample.captions
        }
        names = conse.class_names()
        kept = [i for i, name in enumerate(names) if name.lower() not in held]
        weights = self.classifier.weight.numpy()
        shifts = (weights - weights.mean(axis=0)) / weights.std()
        mean, deviation = like.images.mean(axis=0), like.images.std(axis=0)
        return Pairs.of(mean + GAIN * deviation * shifts[kept], [(names[i],) for i in kept], self.texts)

    def mixed(self, images: np.ndarray[Any, np.dtype[np.float32]]) -> torch.Tensor:
        """ConSE's vectors of pooled features, (n, 384)."""
        logits = self.classifier(torch.from_numpy(images))
        return conse.mix(logits, torch.from_numpy(self.texts(list(conse.class_names()))))

    @property
    def classifier(self) -> torch.nn.Linear:
        """EfficientNet's last layer."""
        layer: torch.nn.Linear = self.lite0._images.network._fc
        return layer

    def _rows(self, split: str) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
        samples = self.dataset.samples(split)
        found = self._store.images(
            self.raw, samples, progress=lambda p: self._tell(f"{split}: {p.done} of {p.total} images")
        )
        return {samples[row].id: features for row, features in zip(found.rows, found.features, strict=True)}


def train(
    ingredients: Ingredients, tell: Callable[[str], None], recipe: Recipe = RECIPE
) -> tuple[Pair, dict[str, Any]]:
    """Train the heads; the pair with its best weights, and what is known of it."""
    drawings, val = ingredients.pairs("train"), ingredients.pairs("val")
    both = drawings.join(ingredients.classes(drawings))
    image = Shape(
        kind=recipe.head, width=ingredients.raw.dim, hidden=recipe.hidden, dim=ingredients.lite0.dim
    )
    text = Shape(
        kind=recipe.text_head, width=ingredients.lite0.dim, hidden=recipe.hidden, dim=ingredients.lite0.dim
    )
    pair = fresh_pair(recipe, image, text, Sphere(ingredients.lite0.dim), drawings)
    training = Training(pair, recipe, both, val, Key.of(recipe.seed).fold("train"))
    progress = training.run(
        tell=lambda epoch: tell(f"epoch {epoch.number}: loss {epoch.loss:.3f}, validation {epoch.val}")
    )
    pair.load_state_dict(training.best)
    about = {
        "recipe": recipe.told(),
        "encoder": {"name": "lite0-raw", "digest": ingredients.raw.digest()},
        "text_encoder": {"name": "lite0", "digest": ingredients.lite0.digest()},
        "weights": ingredients.lite0.weights_digest(),
        "data": {"drawn-names": ingredients.dataset.digest()},
        "pairs": {
            "images": len(drawings),
            "texts": len(drawings.texts),
            "classes": len(both) - len(drawings),
        },
        "geometry": {"name": "sphere", "settings": {}},
        "image": told_shape(image),
        "text": told_shape(text),
        "epoch": progress.best,
    }
    return pair.eval().requires_grad_(False), about


def judge(ingredients: Ingredients, pair: Pair) -> list[tuple[str, str, Retrieval]]:
    """Image to name among the names that were never trained on: what, encoder, recall."""
    sets: dict[str, Callable[[Sample], bool]] = {
        "emoji": lambda sample: sample.label == 0,
        "icons": lambda sample: sample.label == 1 and sample.domain != HELD_OUT_STYLE,
        "icons of an unseen style": lambda sample: sample.domain == HELD_OUT_STYLE,
        "all, styles seen": lambda sample: sample.domain != HELD_OUT_STYLE,
    }
    seen = [s for s in ingredients.dataset.samples("test") if s.domain != HELD_OUT_STYLE]
    few = _few([caption for sample in seen for caption in sample.captions])
    sets[f"{FEW} names, styles seen"] = lambda sample: (
        sample.captions[0] in few and sets["all, styles seen"](sample)
    )
    found = []
    for what, keep in sets.items():
        pairs = ingredients.pairs("test", keep)
        images, texts = torch.from_numpy(pairs.images), torch.from_numpy(pairs.texts)
        with torch.no_grad():
            mixed, x, y = ingredients.mixed(pairs.images), pair.images(images), pair.texts(texts)
        for name, left, right in (
            ("lite0", mixed, texts),
            ("lite0-heads", x, y),
            ("lite0-mix", torch.cat([x, mixed], 1), torch.cat([y, texts], 1)),
        ):
            found.append((what, name, recall(left, right, pairs)))
    return found


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _few(names: Sequence[str]) -> frozenset[str]:
    order = Key.of(0).fold("few names").generator().permutation(sorted(set(names)))
    return frozenset(map(str, order[:FEW]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, write, judge; the exit code: 0, or 1 when ``--check`` finds other bytes."""
    parser = argparse.ArgumentParser(
        prog="python -m lpcm_lite.train_heads", description=__doc__.split("\n\n")[1]
    )
    parser.add_argument("--out", type=Path, help="file of the heads (default: the packaged one)")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the packaged heads")
    add_store(parser)
    asked = parser.parse_args(arguments)
    keep_freed_memory()
    path = asked.out or heads_file()
    store, threads = store_of(asked), torch.get_num_threads()
    with FileDigests(store / "files.sqlite") as files:
        ingredients = Ingredients(store, files, _tell)
        for split in ingredients.dataset.splits:
            ingredients.pairs(split)  # decoding and encoding use all threads
        torch.set_num_threads(THREADS)
        try:
            pair, about = train(ingredients, _tell)
            found = judge(ingredients, pair)
        finally:
            torch.set_num_threads(threads)
        same = True
        if asked.check:
            kept, _ = checkpoint.read(path)
            same = all(torch.equal(kept[name], value) for name, value in pair.state_dict().items())
            print("the packaged heads are the same" if same else f"{path} holds other heads")
        else:
            checkpoint.save(path, pair.state_dict(), about)
            print(f"{path}: SHA-256 {files.digest(path)}")
    print_columns(
        (
            (what, name, str(r.images), str(r.texts), f"{r.image_to_text:.3f}", *(f"{x:.3f}" for x in r.deep))
            for what, name, r in found
        ),
        ("drawings of unseen concepts", "encoder", "images", "names", "R@1", "R@5", "R@10"),
    )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
