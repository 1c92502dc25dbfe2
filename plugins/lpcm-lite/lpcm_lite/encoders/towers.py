"""The encoders `lite0` and `lite0-raw` as lpcm sees them. Refuses to load weights before they are needed.

Importing this module, building an encoder and asking for its digest import no torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files as resources
from typing import TYPE_CHECKING, Any

from lpcm.errors import UsageError
from lpcm.plugin.contracts import Canary, EncoderOptions, Precision, Preprocess, Resize
from lpcm.plugin.records import Modality
from lpcm.store.digest import digest_of
from lpcm_lite.encoders import conse
from lpcm_lite.encoders.weights import IMAGE_WEIGHTS, TEXT_WEIGHTS, beside
from lpcm_lite.packages import release

if TYPE_CHECKING:
    import torch

    from lpcm.plugin.trainable import TrainableTower
    from lpcm.plugin.tuner import PromptTuner
    from lpcm_lite.encoders.image_tower import ImageTower
    from lpcm_lite.encoders.text_tower import TextTower

PREPROCESS = Preprocess(
    size=224,
    resize=Resize.SHORTEST,
    resize_to=256,
    interpolation="bicubic",
    mean=(127 / 255, 127 / 255, 127 / 255),
    std=(128 / 255, 128 / 255, 128 / 255),
)
"""As the weights were trained: (byte - 127) / 128, and TensorFlow's usual evaluation crop at 224 pixels."""

_CODE = ("efficientnet-lite-pytorch", "sentence-transformers", "tokenizers", "transformers")
"""Distributions whose code decides what the features are."""

_TOLERANCE = {Precision.FP32: 1e-3, Precision.FP16: 0.1, Precision.BF16: 0.75}
"""Relative distance from the fp32 answers that is let pass.

Measured on a processor, the largest of both encoders: 4e-6 in fp32 with other thread counts, 0.025 in fp16,
0.50 in bf16, whose 8 bits this deep tower of depthwise convolutions bears badly. Faults of `lite0`:
bilinear 0.97, lanczos 0.64, ImageNet's mean 0.84, SiLU 1.4, a context of 128 0.37, a mean of 127.5 bytes
0.010. So fp32 catches all of them, fp16 all but the last, bf16 only gross ones.
"""

_SCHEME = 1
"""Raise it when code here changes the features that the same files give."""


class Lite0Raw:
    """EfficientNet-Lite0's pooled features: (n, 1280), not scaled.

    Args:
        options: of the user.

    Raises:
        UsageError: when an argument or a weights file was given: the weights come from a package.
    """

    name = "lite0-raw"
    dim = 1280
    modalities = frozenset({Modality.IMAGE})
    unit_norm = False
    preprocess: Preprocess | None = PREPROCESS

    def __init__(self, options: EncoderOptions) -> None:
        if options.argument:
            raise UsageError(
                f"encoder {self.name!r} takes nothing after a colon: given {options.argument!r}",
                f"--encoder {self.name}",
            )
        if options.weights is not None:
            raise UsageError(
                f"encoder {self.name!r} has its own weights, pinned by digest: given {options.weights}",
                f"For others: --encoder timm:tf_efficientnet_lite0 --weights {options.weights}",
            )
        self._options = options
        self.precision = options.precision
        self.canary = recorded_canary(self.name, options.precision)

    def digest(self) -> str:
        """Hex digest of weights, preprocessing, precision and the packages that turn them into features."""
        return digest_of(
            {
                "encoder": self.name,
                "scheme": _SCHEME,
                "weights": self.weights_digest(),
                "preprocess": self.preprocess,
                "precision": self.precision,
                **self._facts(),
            }
        )

    def weights_digest(self) -> str:
        """Hex digest of the weights alone."""
        return self._options.files.digest(IMAGE_WEIGHTS.verified(self._options.files))

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images as pooled features: (n, 3, 224, 224) float32 -> (n, 1280) float32."""
        return self._images.features(images)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Refused: this encoder has no text tower."""
        raise UsageError("encoder 'lite0-raw' reads no text", "--encoder lite0 reads images and text")

    def trainable(self, modality: Modality) -> TrainableTower:
        """A copy of EfficientNet that can be trained (``lpcm.plugin.trainable``)."""
        from lpcm_lite.encoders.trainable import image_tower

        if modality is not Modality.IMAGE:
            raise UsageError("encoder 'lite0-raw' reads no text", "--text-encoder lite0 has a tower of texts")
        return image_tower(self._images)

    def _facts(self) -> dict[str, Any]:
        return {"packages": [release("efficientnet-lite-pytorch")]}

    @cached_property
    def _images(self) -> ImageTower:
        from lpcm_lite.encoders.image_tower import ImageTower

        path = IMAGE_WEIGHTS.verified(self._options.files)
        return ImageTower(path, self._options.device, self._options.precision)


class Lite0(Lite0Raw):
    """An ImageNet encoder and a sentence encoder joined by ConSE, not CLIP: (n, 384) unit vectors of both.

    Args:
        options: of the user.
    """

    name = "lite0"
    dim = 384
    modalities = frozenset({Modality.IMAGE, Modality.TEXT})
    unit_norm = True

    def weights_digest(self) -> str:
        """Hex digest of the weights of both towers."""
        text = self._options.files.digest(TEXT_WEIGHTS.verified(self._options.files))
        return digest_of([super().weights_digest(), text])

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images as unit vectors beside texts: (n, 3, 224, 224) float32 -> (n, 384) float32."""
        logits = self._images.logits(self._images.features(images))
        return conse.mix(logits, self._class_vectors)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Encode texts as unit vectors, cut at 256 word pieces: n strings -> (n, 384) float32."""
        return self._texts.features(texts)

    def prompt_tuner(self) -> PromptTuner:
        """MiniLM as a function of the words before a class name (``lpcm.plugin.tuner``)."""
        from lpcm_lite.encoders.prompt_tuner import MiniLMPromptTuner

        return MiniLMPromptTuner(self._texts.model)

    def trainable(self, modality: Modality) -> TrainableTower:
        """A copy of MiniLM that can be trained (``lpcm.plugin.trainable``).

        Raises:
            UsageError: for the side of images, whose features are made of vectors of texts.
        """
        from lpcm_lite.encoders.trainable import text_tower

        if modality is not Modality.TEXT or self.name != Lite0.name:
            raise UsageError(
                f"the {modality.value} features of {self.name!r} are no tower's own and cannot be trained",
                "type --encoder lite0-raw --text-encoder lite0",
            )
        return text_tower(self._texts)

    def _facts(self) -> dict[str, Any]:
        store = self._options.files
        return {
            "packages": [release(name) for name in _CODE],
            "text": store.digests(beside(TEXT_WEIGHTS.locate())),
            "classes": store.digest(conse.class_names_file()),
            "top": conse.TOP,
            "temperature": conse.TEMPERATURE,
        }

    @cached_property
    def _texts(self) -> TextTower:
        import torch

        from lpcm_lite.encoders.text_tower import TextTower

        path = TEXT_WEIGHTS.verified(self._options.files)
        # Weights that are made in inference mode cannot be differentiated through, and a caller may be in it.
        with torch.inference_mode(False):
            return TextTower(path.parent, self._options.device, self._options.precision)

    @cached_property
    def _class_vectors(self) -> torch.Tensor:
        return self._texts.features(conse.class_names()).to(self._options.device)


def lite0(options: EncoderOptions) -> Lite0:
    """Build the embedded default encoder; weights are read at its first use."""
    return Lite0(options)


def lite0_raw(options: EncoderOptions) -> Lite0Raw:
    """Build the encoder of pooled image features; weights are read at its first use."""
    return Lite0Raw(options)


def recorded_canary(name: str, precision: Precision) -> Canary | None:
    """Answers of an encoder to the probes in fp32, as ``python -m lpcm_lite.canary`` recorded them."""
    saved = json.loads(resources("lpcm_lite").joinpath("canary.json").read_text(encoding="utf-8"))
    if name not in saved["encoders"]:
        return None
    values = saved["encoders"][name]
    return Canary(
        values={Modality(modality): tuple(numbers) for modality, numbers in values.items()},
        tolerance=_TOLERANCE[precision],
    )
