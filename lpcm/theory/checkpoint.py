"""A training's checkpoint: one safetensors file, written whole or not at all. Refuses another training's.

Nothing is unpickled. A file that cannot be read counts as none, since a training can always start over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lpcm.store.atomic import write_bytes
from lpcm.store.digest import digest_of


@dataclass(frozen=True)
class Checkpoint:
    """Where a training is kept.

    Args:
        path: the file.
        identity: JSON values that say which training it is.
    """

    path: Path
    identity: Mapping[str, Any]

    def save(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Write tensors and JSON facts."""
        kept = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        metadata = {"identity": digest_of(dict(self.identity)), "facts": json.dumps(dict(facts))}
        write_bytes(self.path, save(kept, metadata))

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Tensors and facts; ``None`` when there is no file of this training that can be read."""
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata()
                if metadata["identity"] != digest_of(dict(self.identity)):
                    return None
                facts: dict[str, Any] = json.loads(metadata["facts"])
                return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
