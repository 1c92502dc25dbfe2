"""Drawing a picture of ``rendered`` against decoding a photo from memory, in one process.

Run with ``pytest benchmarks/test_rendered.py -s``. What was found stands in LEDGER.md.
"""

from __future__ import annotations

import io
import statistics
import time
from pathlib import Path

import numpy as np
from PIL import Image

from lpcm.datasets.rendered import Rendered
from lpcm.plugin.contracts import DatasetOptions
from lpcm.store.files import FileDigests

COUNT, ROUNDS = 200, 7


def photos():
    """JPEG files of 300 x 200 as Caltech 101 has them: smooth colours with grain, quality 90."""
    grain = np.random.default_rng(0)
    made = []
    for _ in range(COUNT):
        small = Image.fromarray(grain.integers(0, 256, (10, 15, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((300, 200), Image.Resampling.BICUBIC)).astype(float)
        picture = np.clip(smooth + grain.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


def seconds(act, things):
    start = time.process_time()
    for thing in things:
        act(thing)
    return (time.process_time() - start) / len(things)


def test_drawing_costs_less_than_decoding_a_photo():
    with FileDigests(None) as files:
        data = Rendered(DatasetOptions(argument="", root=Path(), offline=True, files=files))
        scenes = [sample.image for sample in data.samples("train")[:COUNT]]
    files = photos()

    def decode(file):
        Image.open(io.BytesIO(file)).load()

    seconds(lambda scene: scene.open(), scenes[:20])  # textures are drawn once
    rounds = [(seconds(lambda scene: scene.open(), scenes), seconds(decode, files)) for _ in range(ROUNDS)]
    ratios = [drawn / decoded for drawn, decoded in rounds]
    drawn, decoded = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        f"\ndrawn {1e3 * drawn:.2f} ms, decoded {1e3 * decoded:.2f} ms, ratio {statistics.median(ratios):.2f}"
    )
    assert statistics.median(ratios) < 1
