"""Planted pairs: features of both sides are linear images of one latent, so that heads can find each other."""

from pathlib import Path

import numpy as np
import pytest

from lpcm.train.pairs import Pairs
from lpcm.train.recipe import Recipe

PLUGIN = Path(__file__).parent / "planted_plugin.py"


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
