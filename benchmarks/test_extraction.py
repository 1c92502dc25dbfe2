"""Feature extraction against the loop that one would write with torch alone: same images, batch and workers.

Run by itself, on an otherwise idle machine: ``pytest benchmarks/test_extraction.py -s``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from lpcm.datasets.sources import FileImage
from lpcm.encoders.preprocess import Transform
from lpcm.plugin.contracts import EncoderOptions, Resize, Sample
from lpcm.store.features import FeatureStore
from lpcm.store.files import FileDigests

lite = pytest.importorskip("lpcm_lite.encoders.towers")

IMAGES, BATCH, WORKERS, ROUNDS = 192, 32, 1, 3


class Files(torch.utils.data.Dataset):
    """Image files through a transform."""

    def __init__(self, paths: list[Path], transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        with Image.open(self.paths[row]) as image:
            return self.transform(image.convert("RGB"))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """JPEG files of the size of Caltech 101's photos, with detail at every scale."""
    key = np.random.default_rng(0)
    found = []
    for place in range(IMAGES):
        layers = [key.integers(0, 86, (200 // s + 1, 300 // s + 1, 3), np.uint8) for s in (1, 8, 50)]
        scaled = [np.asarray(Image.fromarray(layer).resize((300, 200))) for layer in layers]
        found.append(tmp_path / f"{place:04}.jpg")
        Image.fromarray(sum(scaled).astype(np.uint8)).save(found[-1], quality=90)
    return found


def torchvision_transform(encoder) -> Callable[[Image.Image], torch.Tensor]:
    record = encoder.preprocess
    resize = record.resize_to or record.size
    side = (record.size, record.size) if record.resize is Resize.SQUASH else resize
    return transforms.Compose(
        [
            transforms.Resize(side, getattr(transforms.InterpolationMode, record.interpolation.upper())),
            transforms.CenterCrop(record.size),
            transforms.ToTensor(),
            transforms.Normalize(record.mean, record.std),
        ]
    )


def bare(encoder, paths: list[Path], transform: Callable[[Image.Image], torch.Tensor]) -> np.ndarray:
    loader = torch.utils.data.DataLoader(Files(paths, transform), batch_size=BATCH, num_workers=WORKERS)
    return torch.cat([encoder.encode_images(images) for images in loader]).numpy()


def test_extraction_is_as_fast_as_a_bare_torch_loop(paths, tmp_path):
    encoder = lite.lite0_raw(EncoderOptions(files=FileDigests(None)))
    encoder.encode_images(
        torch.zeros(2, 3, encoder.preprocess.size, encoder.preprocess.size)
    )  # loads the weights
    samples = [Sample(path.name, FileImage(path), 0) for path in paths]
    own = Transform(encoder.preprocess)
    rounds = iter(range(ROUNDS))

    def stored() -> np.ndarray:
        # an empty store each time: canary, digests of files and writing are part of what is measured
        store = FeatureStore(tmp_path / f"store-{next(rounds)}", FileDigests(None))
        return store.images(encoder, samples, batch=BATCH, workers=WORKERS).features

    ways = {
        "bare loop, torchvision's transforms": lambda: bare(encoder, paths, torchvision_transform(encoder)),
        "bare loop, our transform": lambda: bare(encoder, paths, lambda image: torch.from_numpy(own(image))),
        "FeatureStore.images": stored,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    features = {}
    for _ in range(ROUNDS):  # interleaved: what else the machine does falls on all alike
        for name, way in ways.items():
            started = time.perf_counter()
            features[name] = way()
            seconds[name].append(time.perf_counter() - started)
    ours = seconds["FeatureStore.images"]
    print(f"\n{IMAGES} images 300x200, batch {BATCH}, {WORKERS} worker(s), {torch.get_num_threads()} threads")
    for name, took in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(took, ours, strict=True))
        print(
            f"{name:36} {IMAGES / statistics.median(took):7.1f} images/s   ours is {ratio:.3f} of its speed"
        )
        # the same pixels through the same tower in the same batches; threads may add in another order
        np.testing.assert_allclose(features[name], features["FeatureStore.images"], rtol=1e-3, atol=1e-3)
        assert ratio > 0.9
