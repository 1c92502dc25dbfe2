"""A one-file plugin: a dataset laid out as ImageNet's family is. One domain has train and test, others test alone."""

import numpy as np

from lpcm.datasets.sources import ArrayImage
from lpcm.keys import Key
from lpcm.plugin import DatasetRecord, Sample, hookimpl

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 230), "grey": (120, 120, 120)}
SIZES = {("train", "clear"): 9, ("test", "clear"): 5, ("test", "noisy"): 7, ("test", "some"): 11}
SOME = (1, 3)


class Shift:
    """``some`` can hold green and grey alone."""

    name = "shift"
    classes = tuple(COLOURS)
    templates = ("{}",)
    domains = ("clear", "noisy", "some")
    domain_classes = {"some": SOME}
    splits = ("train", "test")
    licence = "none needed"

    def __init__(self, options):
        pass

    def digest(self):
        return "shift"

    def samples(self, split):
        found = []
        for (where, domain), count in SIZES.items():
            for label, rgb in enumerate(COLOURS.values()):
                if where == split and (domain != "some" or label in SOME):
                    for i in range(count):
                        noise = Key.of(0).fold(split, domain, label, i).generator().normal(0, 50, (8, 8, 3))
                        pixels = np.clip(np.array(rgb) + noise, 0, 255).astype(np.uint8)
                        image = ArrayImage.of(pixels)
                        found.append(Sample(f"{split}/{domain}/{label}/{i}", image, label, domain))
        return found


@hookimpl
def lpcm_datasets():
    yield DatasetRecord(name="shift", summary="toy", loader="shift_plugin:Shift")
