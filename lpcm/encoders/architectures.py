"""Which open_clip architecture, weights and preprocessing a name means; plain data, without torch.

An alias means the weights that OpenAI (or Google, for SigLIP) published, and so the activation that they were
trained with. It refuses a pair of architecture and weights whose activations differ: such a model runs, and
loses several points without a word (open_clip issue 1109: ImageNet 0.6442 in place of 0.6834).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lpcm.encoders.weights import HubFile
from lpcm.errors import MissingError, UsageError, nearest
from lpcm.plugin.contracts import Preprocess, Resize

_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Alias:
    """A short name: an architecture of open_clip, and the tag and place of the weights that belong to it."""

    arch: str
    tag: str
    repo: str


ALIASES: Mapping[str, Alias] = {
    "vit-b16": Alias("ViT-B-16-quickgelu", "openai", "timm/vit_base_patch16_clip_224.openai"),
    "vit-b32": Alias("ViT-B-32-quickgelu", "openai", "timm/vit_base_patch32_clip_224.openai"),
    "vit-l14": Alias("ViT-L-14-quickgelu", "openai", "timm/vit_large_patch14_clip_224.openai"),
    "rn50": Alias("RN50-quickgelu", "openai", "timm/resnet50_clip.openai"),
    "rn101": Alias("RN101-quickgelu", "openai", "timm/resnet101_clip.openai"),
    "siglip-b16": Alias("ViT-B-16-SigLIP", "webli", "timm/ViT-B-16-SigLIP"),
}


@dataclass(frozen=True)
class Plan:
    """All that is needed to build an encoder of open_clip, and to name it.

    Args:
        name: how a row calls it.
        arch: architecture, as open_clip calls it.
        config: its configuration.
        preprocess: of the weights, or OpenAI's where a file's own is not known.
        hub: where the weights are published; ``None`` when only a file will do.
        resizes: whether published weights may be of another image size, as open_clip's own tags are.
    """

    name: str
    arch: str
    config: Mapping[str, Any]
    preprocess: Preprocess
    hub: HubFile | None
    resizes: bool = False

    @property
    def dim(self) -> int:
        """Width of the features."""
        return int(self.config["embed_dim"])

    @property
    def tokenizer(self) -> str:
        """The tokenizer on the hub that it needs; empty for CLIP's own, which open_clip ships."""
        return str(self.config["text_cfg"].get("hf_tokenizer_name", "") or "")


def of_alias(name: str) -> Plan:
    """Resolve a short name, such as ``"vit-b16"``."""
    alias = ALIASES[name]
    config = config_of(alias.arch)
    return Plan(
        name=name,
        arch=alias.arch,
        config=config,
        preprocess=_published(config, "siglip" in alias.arch.lower()),
        hub=HubFile(alias.repo, _FILES),
    )


def of_pair(argument: str) -> Plan:
    """Resolve ``ARCH/PRETRAINED`` or, for a weights file, ``ARCH``.

    Raises:
        UsageError: for an unknown name, and when architecture and weights have different activations.
    """
    arch, tag = _parted(argument)
    config = config_of(arch)
    if not tag:
        preprocess = _published(config, "siglip" in arch.lower())
        return Plan(name=f"open-clip:{arch}", arch=arch, config=config, preprocess=preprocess, hub=None)
    published = _tag(arch, tag)
    _refuse_other_activation(arch, tag, config, published)
    repo, _, file = str(published.get("hf_hub", "")).rpartition("/")
    return Plan(
        name=f"open-clip:{arch}/{tag}",
        arch=arch,
        config=config,
        preprocess=_preprocess(config, published),
        hub=HubFile(repo, _with_safe_twin(file)) if repo else None,
        resizes=True,
    )


def config_of(arch: str) -> dict[str, Any]:
    """Look up an architecture: a JSON file of the installed open_clip, or one added at run time.

    Raises:
        MissingError: when open_clip is not installed.
        UsageError: for an unknown architecture, with the nearest.
    """
    loaded = sys.modules.get("open_clip")
    if loaded is not None:  # only then can there be architectures that were added by add_model_config
        added = loaded.get_model_config(arch)
        if added is not None:
            return dict(added)
    path = _configs() / f"{arch}.json"
    if not path.is_file():
        known = architectures()
        raise UsageError(
            f"open_clip has no architecture {arch!r} among its {len(known)}",
            nearest(arch, known) or "List them: python -c 'import open_clip; print(open_clip.list_models())'",
        )
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config


def architectures() -> tuple[str, ...]:
    """Names of all architectures that open_clip ships."""
    return tuple(sorted(path.stem for path in _configs().glob("*.json")))


def _configs() -> Path:
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise MissingError("open_clip is not installed", "pip install open_clip_torch")
    return Path(spec.origin).parent / "model_configs"


def _parted(argument: str) -> tuple[str, str]:
    names = architectures()
    whole = argument.replace("/", "-")
    if whole in names:  # ViT-B/16 is how the papers write ViT-B-16
        return whole, ""
    arch, _, tag = argument.rpartition("/")
    if not arch:
        arch, tag = tag, ""
    if not arch:
        raise UsageError(
            "open-clip needs an architecture", "Type for example open-clip:ViT-B-32/laion2b_s34b_b79k"
        )
    return arch.replace("/", "-"), tag


def _tag(arch: str, tag: str) -> Mapping[str, Any]:
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    published: Mapping[str, Any] = get_pretrained_cfg(arch, tag)
    if published:
        return published
    sibling = _sibling(arch)
    if get_pretrained_cfg(sibling, tag):
        raise UsageError(
            f"weights {tag!r} were not trained with the activation of {arch}",
            f"Type: open-clip:{sibling}/{tag}",
        )
    tags = list_pretrained_tags_by_model(arch)
    raise UsageError(
        f"open_clip has no weights {tag!r} for {arch}; it has {', '.join(tags) or 'none'}",
        nearest(tag, tags),
    )


def _refuse_other_activation(
    arch: str, tag: str, config: Mapping[str, Any], published: Mapping[str, Any]
) -> None:
    trained, built = bool(published.get("quick_gelu", False)), bool(config.get("quick_gelu", False))
    sibling = _sibling(arch)
    # Where no twin exists the table of weights is silent rather than right: the architecture is believed.
    if trained == built or sibling not in architectures():
        return
    alias = [name for name, known in ALIASES.items() if (known.arch, known.tag) == (sibling, tag)]
    names = {True: "QuickGELU", False: "GELU"}
    raise UsageError(
        f"weights {tag!r} were trained with {names[trained]}, but {arch} is built with {names[built]}: "
        "it would run, several points below its worth",
        f"Type: {f'{alias[0]}, or ' if alias else ''}open-clip:{sibling}/{tag}",
    )


def _sibling(arch: str) -> str:
    quick = "-quickgelu"
    return arch.removesuffix(quick) if arch.endswith(quick) else arch + quick


def _with_safe_twin(file: str) -> tuple[str, ...]:
    if not file:
        return _FILES
    stem, _, suffix = file.rpartition(".")
    return (f"{stem}.safetensors", file) if suffix in ("bin", "pth") else (file,)


def _published(config: Mapping[str, Any], siglip: bool) -> Preprocess:
    if siglip:
        return _preprocess(config, {"mean": _HALF, "std": _HALF, "resize_mode": "squash"})
    return _preprocess(config, {})


def _preprocess(config: Mapping[str, Any], published: Mapping[str, Any]) -> Preprocess:
    size = config["vision_cfg"].get("image_size", 224)
    if isinstance(size, list | tuple):
        if len(set(size)) != 1:
            raise UsageError(f"the architecture reads images of {size} pixels: expected a square")
        size = size[0]
    resize = Resize(published.get("resize_mode", "shortest"))
    mean, std = published.get("mean", _CLIP_MEAN), published.get("std", _CLIP_STD)
    return Preprocess(
        size=int(size),
        resize=resize,
        interpolation=str(published.get("interpolation", "bicubic")),
        mean=(float(mean[0]), float(mean[1]), float(mean[2])),
        std=(float(std[0]), float(std[1]), float(std[2])),
        # open_clip pads with black; behind transparency it keeps whatever colour the file has there
        background=(0, 0, 0) if resize is Resize.LONGEST else (255, 255, 255),
    )
