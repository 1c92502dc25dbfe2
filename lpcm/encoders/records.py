"""Records of the built-in encoders, and of the dataset that reads stored features. Imports records only."""

from __future__ import annotations

from lpcm.plugin.records import DatasetRecord, EncoderRecord, Modality

_BOTH = (Modality.IMAGE, Modality.TEXT)
_CLIP = "Radford et al., Learning transferable visual models from natural language supervision, 2021"


def _openai(name: str, attribute: str, tower: str, dim: int) -> EncoderRecord:
    return EncoderRecord(
        name=name,
        summary=f"OpenAI CLIP {tower} (QuickGELU, as it was trained)",
        loader=f"lpcm.encoders.open_clip:{attribute}",
        requires=("open_clip_torch",),
        modalities=_BOTH,
        trains=_BOTH,
        dim=dim,
        licence="MIT",
        source=_CLIP,
    )


RECORDS: tuple[EncoderRecord, ...] = (
    _openai("vit-b16", "vit_b16", "ViT-B/16", 512),
    _openai("vit-b32", "vit_b32", "ViT-B/32", 512),
    _openai("vit-l14", "vit_l14", "ViT-L/14", 768),
    _openai("rn50", "rn50", "ResNet-50", 1024),
    _openai("rn101", "rn101", "ResNet-101", 512),
    EncoderRecord(
        name="siglip-b16",
        summary="SigLIP ViT-B/16 at 224 pixels, trained on WebLI",
        loader="lpcm.encoders.open_clip:siglip_b16",
        requires=("open_clip_torch", "transformers"),
        modalities=_BOTH,
        trains=_BOTH,
        dim=768,
        licence="Apache-2.0",
        source="Zhai et al., Sigmoid loss for language image pre-training, 2023",
    ),
    EncoderRecord(
        name="open-clip",
        summary="Any model of open_clip, for example open-clip:ViT-B-32/laion2b_s34b_b79k",
        loader="lpcm.encoders.open_clip:pair",
        requires=("open_clip_torch",),
        takes="ARCH/PRETRAINED",
        modalities=_BOTH,
        trains=_BOTH,
        source="https://github.com/mlfoundations/open_clip",
    ),
    EncoderRecord(
        name="timm",
        summary="Any image model of timm, its pooled features, for example timm:resnet50.a1_in1k",
        loader="lpcm.encoders.timm:TimmEncoder",
        requires=("timm",),
        takes="NAME",
        source="https://github.com/huggingface/pytorch-image-models",
    ),
    EncoderRecord(
        name="features",
        summary="Features computed elsewhere: .npz, .npy or .safetensors with ids and labels",
        loader="lpcm.encoders.stored:StoredEncoder",
        takes="FILE",
        licence="yours",
    ),
    EncoderRecord(
        name="run",
        summary="A pair that lpcm-train trained: heads on the towers that it was trained on",
        loader="lpcm.encoders.trained:trained",
        takes="PATH",
        modalities=_BOTH,
        licence="yours",
    ),
)

DATASETS: tuple[DatasetRecord, ...] = (
    DatasetRecord(
        name="features",
        summary="The samples of a file of stored features, for --encoder features:FILE",
        loader="lpcm.encoders.stored:StoredDataset",
        takes="FILE",
        licence="yours",
    ),
)
