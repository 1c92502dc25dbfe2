"""A set of 130 samples known by id only, two of each of 65 captions; the features lie in a file beside the test."""

from lpcm.plugin.contracts import Sample
from lpcm.plugin.hookspecs import hookimpl
from lpcm.plugin.records import DatasetRecord, EncoderRecord, Modality

LPCM_API = (1, 0)


class Planted:
    name = "planted"
    classes = ("low", "high")
    templates = ("{}",)
    domains = ()
    splits = ("train", "val", "test")
    licence = "CC0-1.0"

    def __init__(self, options):
        self.argument = options.argument

    def samples(self, split):
        first, last = {"train": (0, 90), "val": (90, 110), "test": (110, 130)}[split]
        return [Sample(f"s{i}", None, i % 2, "", self.captions(i)) for i in range(first, last)]

    def captions(self, i):
        return () if self.argument == "silent" and i == 3 else (f"thing {i // 2}",)

    def digest(self):
        return f"planted-{self.argument}"


@hookimpl
def lpcm_encoders():
    return (
        EncoderRecord(
            name="planted-features",
            summary="stored features under a name that only this file knows",
            loader="lpcm.encoders.stored:StoredEncoder",
            takes="FILE",
            modalities=(Modality.IMAGE, Modality.TEXT),
        ),
    )


@hookimpl
def lpcm_datasets():
    return (
        DatasetRecord(
            name="planted",
            summary="planted",
            loader=f"{__name__}:Planted",
            takes="[silent]",
            classes=2,
            licence="CC0-1.0",
        ),
    )
