"""Encoders of open_clip: CLIP and SigLIP towers, with weights from a file, the hub's cache or a download.

It refuses weights that do not fit the architecture to the last tensor, and says which name they do fit.
Features are handed on as the towers give them, not scaled to unit norm: the length is information that a
user can drop but not get back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpcm.encoders.architectures import ALIASES, Plan, of_alias, of_pair
from lpcm.encoders.towers import dtype_of, inference, private_init, refuse_absent_device
from lpcm.encoders.weights import can_connect, differences, is_offline, locate, read_state
from lpcm.errors import DataError, MissingError, UsageError
from lpcm.plugin.contracts import Canary, EncoderOptions, Precision
from lpcm.plugin.records import Modality
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    import torch

    from lpcm.plugin.trainable import TrainableTower
    from lpcm.plugin.tuner import PromptTuner


class OpenClipEncoder:
    """Both towers of a model of open_clip; see ``lpcm.plugin.contracts.Encoder``.

    Args:
        plan: architecture, preprocessing and place of the weights.
        options: weights file, device, precision, offline.
    """

    modalities = frozenset({Modality.IMAGE, Modality.TEXT})
    unit_norm = False
    canary: Canary | None = None

    def __init__(self, plan: Plan, options: EncoderOptions) -> None:
        self.name = plan.name
        self.dim = plan.dim
        self.preprocess = plan.preprocess
        self.device = options.device
        self.precision = options.precision
        self._plan = plan
        self._options = options

    def weights_digest(self) -> str:
        """SHA-256 of the weights file."""
        return self._options.files.digest(self._weights)

    def digest(self) -> str:
        """Hex digest that moves with weights, architecture, preprocessing, precision and library."""
        about = {
            "kind": "open_clip",
            "arch": self._plan.config,
            "weights": self.weights_digest(),
            "preprocess": self.preprocess,
            "precision": self.precision,
            "versions": {name: version(name) for name in self._libraries()},
        }
        return digest_of(about)

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, size, size) float32 -> (n, d) float32."""
        with inference(self.device):
            ready = images.to(self.device, dtype_of(self.precision))
            features: torch.Tensor = self._model.encode_image(ready)
            return features.float()

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """N texts -> (n, d) float32; what does not fit the context length is cut off."""
        with inference(self.device):
            features: torch.Tensor = self._model.encode_text(self._tokenizer(list(texts)).to(self.device))
            return features.float()

    def prompt_tuner(self) -> PromptTuner:
        """The text tower as a function of the words before a class name (``lpcm.plugin.tuner``).

        Raises:
            UsageError: when the tower is not CLIP's own transformer.
        """
        if self._plan.tokenizer:
            raise UsageError(
                f"the text tower of {self.name!r} cannot be tuned: it reads the tokens of {self._plan.tokenizer},"
                " and is not CLIP's own",
                "prompt learning needs CLIP's own text transformer, for example --encoder vit-b16",
            )
        from lpcm.encoders.clip_tuner import ClipPromptTuner

        return ClipPromptTuner(self._model, self._tokenizer, self.name)

    def trainable(self, modality: Modality) -> TrainableTower:
        """A copy of one tower that can be trained (``lpcm.plugin.trainable``)."""
        from lpcm.encoders.open_clip_towers import trainable_tower

        tokenizer = self._tokenizer if modality is Modality.TEXT else None
        return trainable_tower(self._model, modality, tokenizer, dtype_of(self.precision))

    @cached_property
    def _weights(self) -> Path:
        return locate(self._options, self.name, self._plan.hub)

    def _libraries(self) -> tuple[str, ...]:
        timm = ("timm",) if "timm_model_name" in self._plan.config["vision_cfg"] else ()
        return ("open_clip_torch", *timm, *(("transformers",) if self._plan.tokenizer else ()))

    @cached_property
    def _model(self) -> Any:
        import torch

        path = self._weights
        refuse_absent_device(self.device)
        # The first call is inside inference mode: weights that are made there cannot be differentiated through.
        with torch.inference_mode(False):
            return self._loaded(read_state(path), path)

    def _loaded(self, state: Mapping[str, torch.Tensor], path: Path) -> Any:
        model = _built(self._plan.arch, self.precision)
        state = _adapted(state, model, resizes=self._plan.resizes and self._options.weights is None)
        wrong = differences(state, model.state_dict())
        if wrong:
            raise DataError(
                f"{path} does not fit {self.name} ({self._plan.arch}): {'; '.join(wrong)}", _who_fits(state)
            )
        model.load_state_dict(state)
        return model.to(self.device).eval().requires_grad_(False)

    @cached_property
    def _tokenizer(self) -> Any:
        import open_clip

        if not self._plan.tokenizer:
            return open_clip.get_tokenizer(self._plan.arch)
        beside = self._weights.parent
        settings = self._plan.config["text_cfg"]
        try:
            if (beside / "tokenizer.json").is_file():
                return open_clip.tokenizer.HFTokenizer(
                    str(beside),
                    context_length=settings.get("context_length", 77),
                    tokenizer_mode=settings.get("tokenizer_mode"),
                    **settings.get("tokenizer_kwargs", {}),
                )
            local = is_offline(self._options) or not can_connect()
            return open_clip.get_tokenizer(self._plan.arch, local_files_only=local)
        except (OSError, ValueError) as error:
            raise MissingError(
                f"encoder {self.name!r} needs the tokenizer {self._plan.tokenizer}, which is not here",
                f"With a network:  hf download {self._plan.tokenizer}\n"
                "Or put its tokenizer.json and tokenizer_config.json beside the file of --weights.",
            ) from error


def pair(options: EncoderOptions) -> OpenClipEncoder:
    """Make the encoder ``open-clip:ARCH/PRETRAINED``, or ``open-clip:ARCH`` with ``--weights FILE``."""
    plan = of_pair(options.argument)
    if plan.hub is None and options.weights is None:
        raise UsageError(
            f"{plan.name} names no weights that the hub has",
            f"Type open-clip:{plan.arch}/PRETRAINED, or give a file: --weights FILE",
        )
    return OpenClipEncoder(plan, options)


def _alias(name: str, options: EncoderOptions) -> OpenClipEncoder:
    return OpenClipEncoder(of_alias(name), options)


vit_b16 = partial(_alias, "vit-b16")
vit_b32 = partial(_alias, "vit-b32")
vit_l14 = partial(_alias, "vit-l14")
rn50 = partial(_alias, "rn50")
rn101 = partial(_alias, "rn101")
siglip_b16 = partial(_alias, "siglip-b16")


def _built(arch: str, precision: Precision = Precision.FP32, device: str = "cpu") -> Any:
    import open_clip

    with private_init():
        return open_clip.create_model(
            arch,
            pretrained=None,
            load_weights=False,
            precision=precision.value,
            device=device,
            pretrained_text=False,
        )


def _adapted(state: Mapping[str, torch.Tensor], model: Any, *, resizes: bool) -> dict[str, torch.Tensor]:
    """Bring the layouts that are in use to the model's own: OpenAI's, the two-tower one, old scalars."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

    found = dict(convert_state_dict(model, dict(state)))
    for fact in ("input_resolution", "context_length", "vocab_size"):  # numbers in OpenAI's checkpoints
        found.pop(fact, None)
    if "positional_embedding" in found and not hasattr(model, "positional_embedding"):
        found = dict(convert_to_custom_text_state_dict(found))
    expected = model.state_dict()
    for scalar in ("logit_scale", "logit_bias"):
        if scalar in found and scalar in expected and found[scalar].numel() == expected[scalar].numel():
            found[scalar] = found[scalar].reshape(expected[scalar].shape)
    positions = "text.transformer.embeddings.position_ids"  # a buffer that newer transformers do not keep
    if positions not in expected:
        found.pop(positions, None)
    if resizes:
        resize_pos_embed(found, model)
        resize_text_pos_embed(found, model)
    return found


def _who_fits(state: Mapping[str, torch.Tensor]) -> str:
    if any(name.startswith(("vision_model.", "text_model.")) for name in state):
        return "These are the names of transformers' CLIPModel: take the file that open_clip publishes."
    fits = [name for name in ALIASES if not _differences(state, _skeleton(name))]
    if fits:
        return f"It fits {' and '.join(fits)}: --encoder {fits[0]}"
    return f"It fits none of {', '.join(ALIASES)}: name its architecture, --encoder open-clip:ARCH"


def _differences(state: Mapping[str, torch.Tensor], model: Any) -> tuple[str, ...]:
    return differences(_adapted(state, model, resizes=False), model.state_dict())


@lru_cache(maxsize=len(ALIASES))
def _skeleton(alias: str) -> Any:
    import torch

    with torch.device("meta"):  # shapes alone: no memory, no random numbers
        return _built(ALIASES[alias].arch, device="meta")
