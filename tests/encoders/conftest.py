"""What tests of encoders share: no network, a tiny CLIP laid out as the real one, image files."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lpcm.plugin.contracts import EncoderOptions
from lpcm.store.files import FileDigests

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **settings: Any) -> Any:
        raise AssertionError(f"a test opened a connection: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def options() -> Callable[..., EncoderOptions]:
    files = FileDigests(None)
    return lambda **given: EncoderOptions(**{"files": files, "offline": True, **given})


@dataclass(frozen=True)
class TinyClip:
    """Names of tiny architectures, and a checkpoint of random weights laid out as OpenAI's."""

    arch: str
    checkpoint: Path
    state: dict[str, Any]


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> TinyClip:
    """``lpcm-tiny`` and ``lpcm-tiny-quickgelu``, known to open_clip for the rest of the session."""
    import open_clip
    import torch

    folder = tmp_path_factory.mktemp("tiny-clip")
    for name, extra in (
        ("lpcm-tiny", {}),
        ("lpcm-tiny-quickgelu", {"quick_gelu": True}),
        ("lpcm-tiny-hf", {"text_cfg": {**TINY["text_cfg"], "hf_tokenizer_name": "nobody/nothing"}}),
    ):
        (folder / f"{name}.json").write_text(json.dumps({**TINY, **extra}))
        open_clip.add_model_config(folder / f"{name}.json")
    from lpcm.encoders.towers import private_init

    with private_init():
        # The initial weights are so small that a tower is nearly linear: these are as large as trained ones.
        torch.manual_seed(7)
        model = open_clip.create_model("lpcm-tiny", pretrained=None, load_weights=False)
        state = {
            name: value * 4 if value.ndim > 1 else value.clone() for name, value in model.state_dict().items()
        }
    facts = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}
    checkpoint = folder / "tiny.pt"
    torch.save({**state, **{name: torch.tensor(value) for name, value in facts.items()}}, checkpoint)
    return TinyClip("lpcm-tiny", checkpoint, state)


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    """Pixels of an image with ramps and noise, (height, width, 3) uint8; odd sizes by default."""

    def make(width: int = 97, height: int = 61, seed: int = 0) -> np.ndarray:
        noise = np.random.default_rng(seed).integers(0, 120, (height, width, 3))
        y, x = np.mgrid[0:height, 0:width]
        ramps = np.stack([x * 130 // width, y * 130 // height, (x + y) * 130 // (width + height)], -1)
        return (noise + ramps).astype(np.uint8)

    return make
