from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lpcm.datasets.sources import FileImage
from lpcm.encoders.canary import CanaryError
from lpcm.encoders.extract import ExtractionWarning
from lpcm.errors import DataError, LpcmError, UsageError
from lpcm.plugin.contracts import Canary, Preprocess, Sample
from lpcm.plugin.records import Modality
from lpcm.store import features as store_module
from lpcm.store.features import FeatureStore, StoreWarning
from lpcm.store.files import FileDigests

IMAGES = 37


class Tower:
    """A small linear encoder that counts what it was given."""

    name = "tower"
    dim = 15
    modalities = frozenset(Modality)
    unit_norm = False
    canary: Canary | None = None

    def __init__(self, address: str = "a", fits: int = 10**9) -> None:
        self.address, self.fits = address, fits
        self.preprocess = Preprocess(size=9, mean=(0.5, 0.4, 0.3))
        self.batches: list[int] = []
        self._weights = torch.randn(243, 15, generator=torch.Generator().manual_seed(3))

    def digest(self) -> str:
        return self.address

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.batches.append(len(images))
        return images.flatten(1) @ self._weights

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        self.batches.append(len(texts))
        codes = [[float(ord(text[i % len(text)])) for i in range(15)] for text in texts]
        return torch.tensor(codes)


@dataclass(frozen=True)
class Fickle:
    """A source whose disk answers now and then."""

    error: OSError

    def open(self) -> Image.Image:
        raise self.error

    def fingerprint(self, files: FileDigests) -> str:
        return "fickle"


@pytest.fixture
def samples(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    noise = np.random.default_rng(0)
    found = []
    for place in range(IMAGES):
        path = folder / f"{place:02}.png"
        Image.fromarray(noise.integers(0, 256, (11 + place % 5, 13, 3)).astype(np.uint8)).save(path)
        found.append(Sample(path.name, FileImage(path), place % 3))
    return found


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD", 16)
    return FeatureStore(tmp_path / "store", FileDigests(None))


def kept(store: FeatureStore) -> list[Path]:
    return sorted((store.root / "features").rglob("*.safetensors"))


def spoil(sample: Sample) -> None:
    sample.image.path.write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")


def test_the_second_time_nothing_is_encoded_and_the_bytes_are_the_same(store, samples):
    cold = store.images(Tower(), samples)
    assert cold.features.shape == (IMAGES, 15)
    assert cold.features.dtype == np.float32
    assert (cold.computed, cold.failed, cold.canary) == (IMAGES, (), "first use")
    idle = Tower()
    warm = store.images(idle, samples)
    assert (warm.computed, warm.canary, idle.batches) == (0, "", [])
    assert warm.features.tobytes() == cold.features.tobytes()
    np.testing.assert_array_equal(warm.rows, np.arange(IMAGES))
    assert warm.bytes == warm.features.nbytes + warm.rows.nbytes
    assert len(kept(store)) == 3  # 37 samples in shards of 16


def test_features_are_those_of_each_image_alone(store, samples):
    from lpcm.encoders.preprocess import Transform

    tower = Tower()
    found = store.images(tower, samples).features
    transform = Transform(tower.preprocess)
    alone = [tower.encode_images(torch.from_numpy(transform(s.image.open()))[None]).numpy() for s in samples]
    # fp32 sums of 243 terms in another order
    np.testing.assert_allclose(found, np.concatenate(alone), rtol=1e-4, atol=1e-4)


def test_reading_what_is_kept_imports_no_torch(store, samples, tmp_path):
    store.images(Tower(), samples)
    code = f"""
import sys
from pathlib import Path
from lpcm.datasets.sources import FileImage
from lpcm.plugin.contracts import Sample
from lpcm.store import features
from lpcm.store.files import FileDigests
features.SHARD = 16
class Encoder:
    dim = 15
    def digest(self): return "a"
paths = sorted(Path({str(tmp_path / "images")!r}).iterdir())
samples = [Sample(p.name, FileImage(p), 0) for p in paths]
found = features.FeatureStore(Path({str(store.root)!r}), FileDigests(None)).images(Encoder(), samples)
assert found.computed == 0 and found.features.shape == (37, 15)
assert "torch" not in sys.modules, "torch was imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def mutate_weights(tower, samples, monkeypatch):
    return Tower("b"), samples


def mutate_order(tower, samples, monkeypatch):
    return tower, [samples[1], samples[0], *samples[2:]]


def mutate_id(tower, samples, monkeypatch):
    return tower, [replace(samples[0], id="renamed"), *samples[1:]]


def mutate_file(tower, samples, monkeypatch):
    Image.new("RGB", (13, 11), "red").save(samples[0].image.path)
    return tower, samples


def mutate_length(tower, samples, monkeypatch):
    return tower, samples[1:]


def mutate_library(tower, samples, monkeypatch):
    monkeypatch.setattr(store_module, "versions_of", lambda *names: dict.fromkeys(names, "0.0.1"))
    return tower, samples


def mutate_schema(tower, samples, monkeypatch):
    monkeypatch.setattr(store_module, "SCHEMA", 2)
    return tower, samples


@pytest.mark.parametrize(
    "mutate",
    [
        mutate_weights,
        mutate_order,
        mutate_id,
        mutate_file,
        mutate_length,
        mutate_library,
        mutate_schema,
    ],
)
def test_any_change_is_a_miss(store, samples, monkeypatch, mutate):
    store.images(Tower(), samples)
    tower, changed = mutate(Tower(), samples, monkeypatch)
    assert store.images(tower, changed).computed >= 16


def test_a_label_or_domain_is_no_part_of_the_address(store, samples):
    store.images(Tower(), samples)
    assert store.images(Tower(), [replace(s, label=0, domain="x") for s in samples]).computed == 0


def test_only_the_shards_that_changed_are_encoded(store, samples):
    store.images(Tower(), samples)
    Image.new("RGB", (13, 11), "red").save(samples[20].image.path)
    assert store.images(Tower(), samples).computed == 16


@pytest.mark.parametrize("place", [3, 60, 400, -40, -1])
def test_a_damaged_block_is_computed_anew(store, samples, place):
    cold = store.images(Tower(), samples)
    path = kept(store)[0]
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)
    with pytest.warns(StoreWarning, match="damaged"):
        again = store.images(Tower(), samples)
    assert again.computed in (5, 16)
    assert again.features.tobytes() == cold.features.tobytes()
    assert store.images(Tower(), samples).computed == 0


def test_a_block_that_was_cut_off_is_computed_anew(store, samples):
    store.images(Tower(), samples)
    path = kept(store)[0]
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.warns(StoreWarning, match="damaged"):
        assert store.images(Tower(), samples).computed in (5, 16)


def test_a_block_under_the_name_of_another_is_not_trusted(store, samples):
    store.images(Tower(), samples[:32])
    first, second = kept(store)
    first.write_bytes(second.read_bytes())
    with pytest.warns(StoreWarning, match="SHA-256"):
        assert store.images(Tower(), samples[:32]).computed == 16


def test_a_full_disk_leaves_nothing_half_written_and_the_features_are_right(store, samples, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store.images(Tower(), samples[:3])  # the canary's record needs the disk as well
    with monkeypatch.context() as patch, pytest.warns(StoreWarning, match="No space left"):  # noqa: PT031
        patch.setattr(os, "fsync", full)
        found = store.images(Tower(), samples)
    assert found.features.shape == (IMAGES, 15)
    assert [path for path in (store.root / "features").rglob("*") if path.is_file()] == kept(store)[:1]
    assert store.images(Tower(), samples).computed == IMAGES


WORKER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_features import Tower
from lpcm.datasets.sources import FileImage
from lpcm.plugin.contracts import Sample
from lpcm.store import features
from lpcm.store.files import FileDigests
features.SHARD = 16
samples = [Sample(p.name, FileImage(p), 0) for p in sorted(Path({images!r}).iterdir())]
def progress(event):
    if event.done > {kill_after}:
        os.kill(os.getpid(), signal.SIGKILL)
store = features.FeatureStore(Path({root!r}), FileDigests(None))
found = store.images(Tower(), samples, batch=4, progress=progress)
print(found.features.sum(dtype="float64"))
"""


def worker(store: FeatureStore, tmp_path: Path, kill_after: int) -> subprocess.Popen[str]:
    code = WORKER.format(
        tests=str(Path(__file__).parent),
        images=str(tmp_path / "images"),
        root=str(store.root),
        kill_after=kill_after,
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_after_a_kill_only_the_unfinished_shards_are_encoded(store, samples, tmp_path):
    killed = worker(store, tmp_path, kill_after=22)
    killed.communicate(timeout=120)
    assert killed.returncode == -9
    assert len(kept(store)) == 1
    resumed = store.images(Tower(), samples, batch=4)
    assert resumed.computed == IMAGES - 16
    whole = FeatureStore(tmp_path / "other", FileDigests(None)).images(Tower(), samples, batch=4)
    assert resumed.features.tobytes() == whole.features.tobytes()


def test_two_processes_at_once_agree(store, samples, tmp_path):
    both = [worker(store, tmp_path, kill_after=10**9) for _ in range(2)]
    sums = {process.communicate(timeout=120)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(sums) == 1
    assert store.images(Tower(), samples).computed == 0
    assert sorted(path for path in (store.root / "features").rglob("*") if path.is_file()) == kept(store)


def test_workers_give_the_bytes_of_one_process(store, samples, tmp_path):
    other = FeatureStore(tmp_path / "other", FileDigests(None))
    alone = store.images(Tower(), samples, batch=5, workers=0)
    helped = other.images(Tower(), samples, batch=5, workers=1)
    assert helped.features.tobytes() == alone.features.tobytes()


@dataclass(frozen=True)
class Deadly:
    """A source that takes its process with it, as a decoder written in C may."""

    parent: int

    def open(self) -> Image.Image:
        if os.getpid() != self.parent:
            os._exit(1)
        raise ValueError("only in a worker")

    def fingerprint(self, files: FileDigests) -> str:
        return "deadly"


def test_a_worker_that_dies_is_an_error_and_not_a_hang(store, samples):
    with pytest.raises(LpcmError, match="one of 1 decoding processes died") as caught:
        store.images(Tower(), [*samples[:3], Sample("deadly", Deadly(os.getpid()), 0)], workers=1)
    assert "--workers 0" in caught.value.hint


@pytest.mark.parametrize("workers", [0, 1])
def test_no_global_generator_moves(store, samples, workers):
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
    store.images(Tower(), samples, workers=workers)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_batches_are_cut_at_the_same_places_whatever_is_kept(store, samples):
    tower = Tower()
    store.images(tower, samples, batch=6)
    probes, *batches = tower.batches[0], *tower.batches[2:]  # the canary's images and texts come first
    assert probes == 5
    assert batches == [6, 6, 4, 6, 6, 4, 5]


def test_a_batch_that_does_not_fit_is_halved_and_says_so(store, samples, tmp_path):
    plain = FeatureStore(tmp_path / "other", FileDigests(None)).images(Tower(), samples, batch=16)
    tower = Tower(fits=5)
    with pytest.warns(ExtractionWarning) as said:
        found = store.images(tower, samples, batch=16)
    assert [str(warning.message) for warning in said] == [
        "a batch of 16 does not fit in memory: going on with 8",
        "a batch of 8 does not fit in memory: going on with 4",
    ]
    assert max(tower.batches) == 5
    # fp32 sums of 243 terms, in the order that each batch size takes
    np.testing.assert_allclose(found.features, plain.features, rtol=1e-4, atol=1e-4)


def test_one_image_that_does_not_fit_is_an_error(store, samples):
    tower = Tower()
    store.texts(tower, ["warm"])  # past the canary
    tower.fits = 0
    with pytest.warns(ExtractionWarning), pytest.raises(torch.OutOfMemoryError):
        store.images(tower, samples, batch=2)


def test_another_error_of_the_encoder_is_not_taken_for_memory(store, samples):
    tower = Tower()
    store.texts(tower, ["warm"])

    def fail(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    tower.encode_images = fail
    with pytest.raises(RuntimeError, match="shapes do not match"):
        store.images(tower, samples)


def test_a_corrupt_image_is_named_and_left_out(store, samples):
    whole = store.images(Tower(), samples).features
    spoil(samples[18])
    for computed in (15, 0):  # what is wrong with it is kept as well
        found = store.images(Tower(), samples)
        ((name, reason),) = found.failed
        assert name == "18.png"
        assert "not a readable image" in reason
        assert found.computed == computed
        np.testing.assert_array_equal(found.rows, [row for row in range(IMAGES) if row != 18])
        np.testing.assert_allclose(found.features, whole[found.rows], rtol=1e-4, atol=1e-4)  # other batches


@pytest.mark.parametrize("known", [False, True])
def test_strict_makes_a_corrupt_image_fatal(store, samples, known):
    spoil(samples[18])
    if known:
        store.images(Tower(), samples)
    with pytest.raises(DataError, match=r"18\.png") as caught:
        store.images(Tower(), samples, strict=True)
    assert "--strict" in caught.value.hint


def test_when_all_images_are_corrupt_it_is_an_error(store, samples):
    for sample in samples[:4]:
        spoil(sample)
    with pytest.raises(DataError, match="4 of 4 images"):
        store.images(Tower(), samples[:4])


def test_a_fault_of_the_disk_is_not_remembered(store, samples):
    shaky = [*samples[:4], Sample("far", Fickle(OSError(errno.EIO, "Input/output error")), 0)]
    for _ in range(2):
        found = store.images(Tower(), shaky)
        assert found.computed == 4
        assert found.failed == (("far", "OSError: [Errno 5] Input/output error"),)


def test_a_file_that_is_gone_is_named(store, samples):
    samples[2].image.path.unlink()
    found = store.images(Tower(), samples[:5])
    assert [name for name, _ in found.failed] == ["02.png"]
    assert "No such file" in found.failed[0][1]


def test_a_sample_without_an_image_needs_stored_features(store, samples):
    with pytest.raises(UsageError, match="no image") as caught:
        store.images(Tower(), [*samples[:3], Sample("bare", None, 0)])
    assert "features:FILE" in caught.value.hint


def test_features_that_are_not_finite_name_the_image(store, samples):
    tower = Tower()
    store.texts(tower, ["warm"])

    def overflow(images: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(len(images), 15)
        found[-1, 3] = torch.inf
        return found

    tower.encode_images = overflow
    with pytest.raises(DataError, match=r"not finite for 1 of 5 inputs, first '04\.png'"):
        store.images(tower, samples, batch=5)


def test_the_canary_sings_before_the_first_image_and_only_then(store, samples):
    store.images(Tower(), samples)
    wrong = Tower()
    wrong.canary = Canary(values={Modality.IMAGE: (0.5,) * 40})
    assert store.images(wrong, samples).computed == 0  # all is kept: nothing to be afraid of
    fresh = FeatureStore(store.root, store.files)
    with pytest.raises(CanaryError):
        fresh.images(wrong, samples[1:])
    assert wrong.batches == [5, 5]  # the probes, and no image


def test_progress_counts_to_the_end(store, samples):
    events = []
    store.images(Tower(), samples, batch=8, progress=events.append)
    assert [event.done for event in events] == [8, 16, 24, 32, 37]
    assert {event.total for event in events} == {IMAGES}
    assert events[-1].rate > 0


@pytest.mark.parametrize(("setting", "value"), [("batch", 0), ("workers", -1)])
def test_settings_below_their_range_are_refused(store, samples, setting, value):
    with pytest.raises(UsageError, match="expected batch of 1 or more"):
        store.images(Tower(), samples, **{setting: value})


def test_no_samples_give_no_rows(store):
    found = store.images(Tower(), [])
    assert found.features.shape == (0, 15)
    assert found.rows.shape == (0,)


def test_texts_are_encoded_once(store):
    texts = [f"a photo of {i}" for i in range(33)]
    tower = Tower()
    cold = store.texts(tower, texts)
    assert cold.shape == (33, 15)
    encoded = len(tower.batches)
    assert store.texts(tower, texts).tobytes() == cold.tobytes()
    assert len(tower.batches) == encoded
    assert store.texts(tower, [*texts[:-1], "another"]).tobytes() != cold.tobytes()
    assert store.texts(tower, []).shape == (0, 15)


def test_features_computed_elsewhere_are_looked_up(store):
    class Stored(Tower):
        def lookup(self, ids: Sequence[str]) -> np.ndarray:
            return np.asarray([[float(name)] * 15 for name in ids], np.float32)

    found = store.images(Stored(), [Sample("3", None, 0), Sample("1", None, 0)])
    np.testing.assert_array_equal(found.features[:, 0], [3, 1])
    assert found.computed == 0
    assert not (store.root / "features").exists()
