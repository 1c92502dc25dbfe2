"""Image backbones of timm: pooled features before the classifier, with the model's own preprocessing.

It refuses weights that do not fit to the last tensor, classifier included: timm itself would leave what does
not fit at random. It reads no text. Looking a name up imports timm, and so torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpcm.encoders.towers import dtype_of, inference, private_init, refuse_absent_device
from lpcm.encoders.weights import HubFile, locate, read_state
from lpcm.errors import DataError, UsageError, nearest
from lpcm.plugin.contracts import Canary, EncoderOptions, Preprocess, Resize
from lpcm.plugin.records import Modality
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    import torch

_FILES = ("model.safetensors", "pytorch_model.bin")


class TimmEncoder:
    """The encoder ``timm:NAME``, for example ``timm:resnet50.a1_in1k``; it keeps the ``Encoder`` contract.

    Args:
        options: ``argument`` is the model's name, with or without the tag of its weights.
    """

    modalities = frozenset({Modality.IMAGE})
    unit_norm = False
    canary: Canary | None = None

    def __init__(self, options: EncoderOptions) -> None:
        import timm

        name = options.argument
        if not timm.is_model(name.partition(".")[0]):
            known = timm.list_models()
            raise UsageError(
                f"timm has no model {name!r} among its {len(known)}",
                nearest(name.partition(".")[0], known) or "Type for example timm:resnet50.a1_in1k",
            )
        config = timm.get_pretrained_cfg(name, allow_unregistered=False) if _has_tag(name) else None
        if config is None:
            tags = timm.list_models(f"{name.partition('.')[0]}.*", pretrained=True)
            raise UsageError(
                f"timm has no weights {name!r}", nearest(name, tags) or f"It has {', '.join(tags)}"
            )
        self.name = f"timm:{config.architecture}{f'.{config.tag}' if config.tag else ''}"
        self.device = options.device
        self.precision = options.precision
        self.preprocess = preprocess_of(asdict(config))
        self._options = options
        self._config = config
        self._architecture = str(config.architecture)

    def weights_digest(self) -> str:
        """SHA-256 of the weights file."""
        return self._options.files.digest(self._weights)

    def digest(self) -> str:
        """Hex digest that moves with weights, architecture, preprocessing, precision and library."""
        about = {
            "kind": "timm",
            "name": self.name,
            "weights": self.weights_digest(),
            "preprocess": self.preprocess,
            "precision": self.precision,
            "versions": {"timm": version("timm")},
        }
        return digest_of(about)

    @cached_property
    def dim(self) -> int:
        """Width of the features; the model is built once without numbers to know it."""
        import timm
        import torch

        with private_init(), torch.device("meta"), torch.inference_mode():
            model = timm.create_model(self._architecture, pretrained=False, num_classes=0).eval()
            size = self.preprocess.size
            return int(model(torch.zeros(1, 3, size, size)).shape[1])

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, size, size) float32 -> (n, d) float32."""
        with inference(self.device):
            features: torch.Tensor = self._model(images.to(self.device, dtype_of(self.precision)))
            return features.float()

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Raise ``UsageError``: an image backbone reads no text."""
        raise UsageError(f"encoder {self.name!r} reads no text")

    @cached_property
    def _weights(self) -> Path:
        repo = self._config.hf_hub_id
        return locate(self._options, self.name, HubFile(repo, self._files) if repo else None)

    @property
    def _files(self) -> tuple[str, ...]:
        name = self._config.hf_hub_filename
        return (name,) if name else _FILES

    @cached_property
    def _model(self) -> Any:
        import timm

        path = self._weights
        refuse_absent_device(self.device)
        state = read_state(path)
        try:
            with private_init():
                model = timm.create_model(
                    self._architecture,
                    pretrained=True,
                    pretrained_cfg=self._config,
                    pretrained_cfg_overlay={"state_dict": state, "custom_load": False},
                    # As many classes as the weights have: only then does timm load strictly.
                    num_classes=self._config.num_classes,
                )
        except (RuntimeError, KeyError) as error:
            raise DataError(
                f"{path} does not fit {self.name}: {_first_lines(error)}",
                "Name the model that the file was trained as: --encoder timm:NAME",
            ) from error
        classifier: Any = model
        classifier.reset_classifier(0)
        return model.to(self.device, dtype_of(self.precision)).eval()


def preprocess_of(config: dict[str, Any]) -> Preprocess:
    """Translate timm's data configuration to a record.

    Args:
        config: a pretrained configuration of timm as a dictionary.

    Raises:
        UsageError: for what a record cannot say: images that are not square, or not of 3 channels.
    """
    channels, height, width = config["input_size"]
    if height != width or channels != 3:
        raise UsageError(f"the model reads {channels} x {height} x {width}: expected 3 channels and a square")
    share = float(config.get("crop_pct") or 0.875)
    mode = str(config.get("crop_mode") or "center")
    mean, std = config["mean"], config["std"]
    if mode == "squash" and share != 1:
        raise UsageError(f"the model squashes images and crops {share} of them: not supported")
    resize = {"center": Resize.SHORTEST, "squash": Resize.SQUASH, "border": Resize.LONGEST}[mode]
    fill = (round(mean[0] * 255), round(mean[1] * 255), round(mean[2] * 255))
    return Preprocess(
        size=height,
        resize=resize,
        resize_to=math.floor(height / share) if resize is Resize.SHORTEST and share != 1 else None,
        interpolation=str(config.get("interpolation") or "bicubic"),
        mean=(float(mean[0]), float(mean[1]), float(mean[2])),
        std=(float(std[0]), float(std[1]), float(std[2])),
        background=fill if resize is Resize.LONGEST else (255, 255, 255),  # timm pads with the mean
    )


def _has_tag(name: str) -> bool:
    import timm

    _, dot, _ = name.partition(".")
    return not dot or name in timm.list_models(f"{name.partition('.')[0]}.*", pretrained=True)


def _first_lines(error: BaseException, most: int = 3) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:most])[:500]
