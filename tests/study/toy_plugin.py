"""A one-file plugin for the tests of the runner: small, quick, and with pieces that fail on purpose."""

import os

from lpcm.errors import MissingError
from lpcm.plugin import (
    DatasetRecord,
    DisentanglerRecord,
    EncoderRecord,
    Modality,
    Preprocess,
    Resize,
    Sample,
    TaskRecord,
    hookimpl,
)

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 230), "grey": (120, 120, 120)}
PER_CLASS = {"train": 12, "val": 4, "test": 9}


class ToyEncoder:
    """Coarse pixels, mixed by a fixed matrix; texts are the colours that they name."""

    name = "toy"
    dim = 24
    modalities = frozenset({Modality.IMAGE, Modality.TEXT})
    unit_norm = False
    preprocess = Preprocess(size=8, resize=Resize.SQUASH, interpolation="bilinear")
    canary = None
    encoded = 0

    def __init__(self, options):
        self.options = options

    def digest(self):
        return f"toy-{self.options.precision.value}"

    def _mixed(self, means):
        import torch

        mixing = torch.cos(torch.arange(3 * self.dim, dtype=torch.float32)).reshape(3, self.dim)
        return means @ mixing

    def encode_images(self, images):
        type(self).encoded += len(images)
        if os.environ.get("TOY_FORBID_ENCODING"):
            raise AssertionError("nothing should have to be encoded")
        noise = images.std(dim=(2, 3)) * 0.3
        return self._mixed(images.mean(dim=(2, 3)) + noise)

    def encode_texts(self, texts):
        import torch

        rows = [next((rgb for name, rgb in COLOURS.items() if name in text), (0, 0, 0)) for text in texts]
        return self._mixed(torch.tensor(rows, dtype=torch.float32) / 255 + 1e-3)


class ImageOnly(ToyEncoder):
    name = "toy-image"
    modalities = frozenset({Modality.IMAGE})


def missing(options):
    raise MissingError("the weights of toy-missing are not there", "type: fetch them")


class ToyDataset:
    """Noisy patches of four colours. ``toy:broken`` has one unreadable image in train, ``toy:small`` too few."""

    classes = tuple(COLOURS)
    templates = ("a {} patch", "{}")
    domains = ()
    splits = ("train", "val", "test")
    licence = "none needed"

    def __init__(self, options):
        self.argument = options.argument
        self.name = f"toy:{options.argument}" if options.argument else "toy"

    def digest(self):
        return f"toy-data-{self.argument}"

    def samples(self, split):
        import numpy as np

        from lpcm.datasets.sources import ArrayImage
        from lpcm.keys import Key

        found = []
        count = 3 if self.argument == "small" else PER_CLASS[split]
        for label, (name, rgb) in enumerate(COLOURS.items()):
            for i in range(count):
                generator = Key.of(0).fold(split, name, i).generator()
                pixels = np.clip(np.array(rgb) + generator.normal(0, 90, (8, 8, 3)), 0, 255).astype(np.uint8)
                image = ArrayImage.of(pixels)
                if self.argument == "broken" and split == "train" and label == i == 0:
                    image = Unreadable()
                found.append(Sample(f"{split}/{name}/{i}", image, label))
        return found


class Unreadable:
    def open(self):
        raise OSError("cut short")

    def fingerprint(self, files):
        return "unreadable"


class Explode:
    def __init__(self, *, random_state):
        pass

    def fit(self, X, y=None):
        raise ZeroDivisionError("deliberate")


class Peek:
    """A task that cheats in the way that its name says."""

    def __init__(self, how):
        self.how = how

    def cells(self, axes):
        for encoder in axes["encoder"]:
            for dataset in axes["dataset"]:
                yield {
                    "encoder": encoder,
                    "dataset": dataset,
                    "disentangler": "none",
                    "adapter": "linear-probe",
                    "seed": 0,
                }

    def fit(self, bench, axes):
        if self.how == "block":
            bench.block("test")
        return Peeking(bench, self.how)

    def score(self, predictions, labels, classes):
        raise AssertionError("must not get here")


class Peeking:
    facts = {}
    selection = "none"
    warnings = ()

    def __init__(self, bench, how):
        self.bench, self.how = bench, how

    def predict(self, features):
        if self.how == "late":
            self.bench.block("train")
        if self.how == "shape":
            return features[:, 0].round().astype(int)[:-1]
        raise AssertionError("must not get here")


def peek_block():
    return Peek("block")


def peek_late():
    return Peek("late")


def peek_shape():
    return Peek("shape")


@hookimpl
def lpcm_encoders():
    both = (Modality.IMAGE, Modality.TEXT)
    yield EncoderRecord(name="toy", summary="toy", loader="toy_plugin:ToyEncoder", modalities=both)
    yield EncoderRecord(name="toy-image", summary="toy", loader="toy_plugin:ImageOnly")
    yield EncoderRecord(name="toy-missing", summary="toy", loader="toy_plugin:missing")


@hookimpl
def lpcm_datasets():
    yield DatasetRecord(name="toy", summary="toy", loader="toy_plugin:ToyDataset", takes="[HOW]")


@hookimpl
def lpcm_disentanglers():
    yield DisentanglerRecord(name="explode", summary="toy", loader="toy_plugin:Explode")


@hookimpl
def lpcm_tasks():
    for how in ("block", "late", "shape"):
        yield TaskRecord(name=f"peek-{how}", summary="toy", loader=f"toy_plugin:peek_{how}")
