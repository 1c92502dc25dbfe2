"""Files of a training: the pair, and the state from which it goes on. Written whole or not at all, never unpickled.

``pair.safetensors`` holds the best weights so far; its metadata say what they are. ``state.safetensors`` holds the
current weights, the optimiser's moments and the best weights. Refuses a file that is damaged or of another training.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lpcm.errors import DataError, LpcmError, MissingError
from lpcm.store.atomic import write_bytes

PAIR, STATE = "pair.safetensors", "state.safetensors"

SCHEMA = 1
"""Of both files; raised when older ones can no longer be read."""


def save(path: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and what is known of them, or leave the old file as it was.

    Raises:
        LpcmError: when the disk is full or may not be written.
    """
    from safetensors.torch import save as to_bytes

    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    told = json.dumps({"schema": SCHEMA, **about}, sort_keys=True, ensure_ascii=False, allow_nan=False)
    try:
        write_bytes(path, to_bytes(whole, {"lpcm": told}))
    except OSError as error:
        kept = f"; the checkpoint before it is whole: {path}" if path.exists() else ""
        room = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
        raise LpcmError(
            f"checkpoint {path} cannot be written: {error.strerror or error}{kept}",
            f"{room} and type the same command again: it goes on from the last epoch that was kept",
        ) from error


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a file that :func:`save` wrote.

    Raises:
        MissingError: when it is not there.
        DataError: when it is no such file, or of another schema.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise MissingError(f"{path} is not there", "train a pair first: lpcm-train --help")
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {})["lpcm"])
            names: list[str] = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is not a checkpoint of lpcm-train: {error}") from error
    if about.get("schema") != SCHEMA:
        raise DataError(f"{path} has schema {about.get('schema')}: this version reads {SCHEMA}")
    return tensors, about


def read_about(path: Path) -> dict[str, Any]:
    """What a file says of itself, without torch. Raises as :func:`read` does."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise MissingError(f"{path} is not there", "train a pair first: lpcm-train --help")
    try:
        with safe_open(path, framework="numpy") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {})["lpcm"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is not a checkpoint of lpcm-train: {error}") from error
    return about
