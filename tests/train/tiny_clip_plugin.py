"""Encoders `tiny-clip:FOLDER` and `tiny-resnet:FOLDER`: CLIPs of open_clip with random weights, written by a test."""

from dataclasses import replace
from pathlib import Path

from lpcm.plugin.hookspecs import hookimpl
from lpcm.plugin.records import EncoderRecord, Modality

LPCM_API = (1, 0)
BOTH = (Modality.IMAGE, Modality.TEXT)


def _encoder(name, options):
    import open_clip

    from lpcm.encoders.architectures import of_pair
    from lpcm.encoders.open_clip import OpenClipEncoder

    folder = Path(options.argument)
    open_clip.add_model_config(folder / f"{name}.json")
    return OpenClipEncoder(of_pair(name), replace(options, weights=folder / f"{name}.safetensors"))


def transformer(options):
    return _encoder("tiny-clip", options)


def resnet(options):
    return _encoder("tiny-resnet", options)


@hookimpl
def lpcm_encoders():
    return tuple(
        EncoderRecord(
            name=name,
            summary="random",
            loader=f"{__name__}:{attribute}",
            takes="FOLDER",
            modalities=BOTH,
            trains=BOTH,
        )
        for name, attribute in (("tiny-clip", "transformer"), ("tiny-resnet", "resnet"))
    )
