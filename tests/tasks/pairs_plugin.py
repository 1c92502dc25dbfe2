"""A one-file plugin for whole runs of zeroshot and retrieval: images and texts drawn around a vector a class."""

import numpy as np

from lpcm.keys import Key
from lpcm.plugin import DatasetRecord, EncoderRecord, Modality, Sample, hookimpl

CLASSES = ("ant", "bee", "cat", "dog", "eel")
PER_CLASS = {"train": 21, "val": 5, "test": 7}


def drawn(name, spread, width):
    return spread * Key.of(0).fold(name).generator().standard_normal(width)


class Pair:
    """An image lies near its class's vector, a caption near its image, a prompt near the class it names."""

    name = "pair"
    dim = 11
    unit_norm = False
    preprocess = None
    canary = None

    def __init__(self, options, modalities=frozenset(Modality)):
        self.modalities = modalities

    def digest(self):
        return f"pair-{len(self.modalities)}"

    def lookup(self, ids):
        return np.array([self._image(name) for name in ids], dtype=np.float32)

    def encode_texts(self, texts):
        import torch

        return torch.from_numpy(np.array([self._text(text) for text in texts], dtype=np.float32))

    def _image(self, name):
        return drawn(name.split("/")[1], 1.0, self.dim) + drawn(name, 0.4, self.dim)

    def _text(self, text):
        if text.startswith("this is "):
            return 3 * (
                self._image(text.removeprefix("this is ").partition(",")[0]) + drawn(text, 0.2, self.dim)
            )
        named = [name for name in CLASSES if name in text]
        return drawn(named[0], 1.0, self.dim) + drawn(text, 0.1, self.dim)


def blind(options):
    return Pair(options, frozenset({Modality.IMAGE}))


class Pets:
    classes = CLASSES
    templates = ("a {}.", "some {} on a sofa")
    domains = ()
    splits = tuple(PER_CLASS)
    licence = "none"

    def __init__(self, options, captions=2):
        self.name = "pets" if captions else "silent"
        self._captions = captions

    def samples(self, split):
        return [
            self._sample(split, label, i) for label in range(len(CLASSES)) for i in range(PER_CLASS[split])
        ]

    def digest(self):
        return f"pets-{self._captions}"

    def _sample(self, split, label, i):
        name = f"{split}/{CLASSES[label]}/{i}"
        captions = tuple(f"this is {name}, take {j}" for j in range(self._captions))
        return Sample(name, None, label, captions=captions)


def silent(options):
    return Pets(options, captions=0)


@hookimpl
def lpcm_encoders():
    return [
        EncoderRecord(
            name="pair", summary="images and texts", loader=f"{__name__}:Pair", modalities=tuple(Modality)
        ),
        EncoderRecord(name="blind", summary="images alone", loader=f"{__name__}:blind"),
    ]


@hookimpl
def lpcm_datasets():
    return [
        DatasetRecord(name="pets", summary="two captions an image", loader=f"{__name__}:Pets"),
        DatasetRecord(name="silent", summary="no captions", loader=f"{__name__}:silent"),
    ]
