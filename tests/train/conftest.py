"""Planted pairs: features of both sides are linear images of one latent, so that heads can find each other."""

import errno
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lpcm.train import checkpoint
from lpcm.train.pairs import Pairs
from lpcm.train.recipe import Recipe

PLUGIN = Path(__file__).parent / "planted_plugin.py"
TINY_PLUGIN = Path(__file__).parent / "tiny_clip_plugin.py"


def planted(concepts, copies=1, noise=0.05, seed=0, d=17, e=13, k=7):
    """(concepts * copies) images, a text a concept."""
    maps = np.random.Generator(np.random.Philox(key=1000))
    draws = np.random.Generator(np.random.Philox(key=seed))
    to_image, to_text = maps.standard_normal((k, d)), maps.standard_normal((k, e))
    z = draws.standard_normal((concepts, k))
    items = np.repeat(np.arange(concepts), copies)
    images = z[items] @ to_image + noise * draws.standard_normal((len(items), d))
    return Pairs(images.astype(np.float32), (z @ to_text).astype(np.float32), np.arange(len(items)), items)


@pytest.fixture
def disk(monkeypatch):
    """Fills up after the second epoch of a training: what to tell its loop, and the files as they are then."""

    def of(home):
        kept = {}

        def full(path, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def fill(epoch):
            if epoch.number == 2:
                kept.update({p.name: p.read_bytes() for p in home.iterdir()})
                monkeypatch.setattr(checkpoint, "write_bytes", full)

        return fill, kept

    return of


@pytest.fixture
def recipe():
    return Recipe(
        encoder="x",
        dataset=("x",),
        epochs=6,
        batch=31,
        lr=0.01,
        hidden=33,
        dim=9,
        patience=0,
        weight_decay=0.01,
    )


@pytest.fixture
def stored(tmp_path):
    """A file of stored features for both sides, and the captions that go with the ids."""
    path = tmp_path / "planted.npz"
    pairs = planted(65, copies=2, e=17)
    ids = np.array([f"s{i}" for i in range(130)])
    texts = np.array([f"thing {i}" for i in range(65)])
    np.savez(path, features=pairs.images, ids=ids, texts=texts, text_features=pairs.texts)
    return path


TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
VISION = {"image_size": 24, "layers": 2, "width": 24, "patch_size": 8, "head_width": 12}
TINY = {
    "tiny-clip": {"embed_dim": 13, "vision_cfg": VISION, "text_cfg": TEXT},
    "tiny-resnet": {
        "embed_dim": 13,
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32},
        "text_cfg": TEXT,
    },
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of the weights of ``tiny_clip_plugin.py``."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    from lpcm.encoders.towers import private_init

    folder = tmp_path_factory.mktemp("tiny")
    for name, config in TINY.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder / f"{name}.json")
        with private_init():
            torch.manual_seed(7)
            model = open_clip.create_model(name, pretrained=None, load_weights=False)
        save_file(model.state_dict(), folder / f"{name}.safetensors")
    return folder


COLOURS = ("red", "green", "blue", "orange", "purple", "black", "pink")


@pytest.fixture
def shapes(tmp_path):
    """A table of 56 small pictures of 14 captions, four of each: two to learn from, one to validate on, one to test."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    draws = np.random.Generator(np.random.Philox(key=3))
    rows = ["path,label,caption,split"]
    for number, (colour, shape, split) in enumerate(
        product(COLOURS, ("square", "line"), ("train", "train", "val", "test"))
    ):
        image = Image.new("RGB", (37, 31), "white")
        x, y, side = draws.integers(2, 10), draws.integers(2, 8), draws.integers(12, 20)
        box = (x, y, x + side, y + side)
        pen = ImageDraw.Draw(image)
        pen.rectangle(box, fill=colour) if shape == "square" else pen.line(box, fill=colour, width=3)
        image.save(folder / f"{number}.png")
        rows.append(f"{number}.png,{shape},a {colour} {shape},{split}")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
    return folder / "pairs.csv"
