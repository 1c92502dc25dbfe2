"""The canary: a few tiny inputs whose answers tell whether an encoder is the one that it claims to be.

A digest says that files and settings are the same; the canary says that they still act the same: a changed
interpolation, mean, activation or context length moves the fingerprint. It refuses an encoder whose
fingerprint moved, and says by how much. It never downloads, and never judges whether features are *good*.

Probes are computed with integer arithmetic, so that they are the same bytes everywhere and for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpcm.encoders.preprocess import Transform
from lpcm.errors import DataError
from lpcm.plugin.contracts import Canary, Encoder, Precision
from lpcm.plugin.records import Modality
from lpcm.store.atomic import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

PROBES = 1
"""Version of the probes and of the fingerprint; values recorded with another one say nothing."""

PROJECTIONS = 8
"""Numbers kept of each probe's features."""

_DECIMALS = 6

# How far rounding alone moves a fingerprint, beyond the tolerance of fp32. Tiny random towers moved by up to
# 0.08 in bf16 (8 significant bits); deep convolutional ones move further, and their authors allow for it.
_ROUNDING = {Precision.FP32: 0.0, Precision.FP16: 0.05, Precision.BF16: 0.3}


class Verdict(str, Enum):
    """What the canary found."""

    MATCHED = "matched"
    FIRST_USE = "first use"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Result of a check that did not fail.

    Args:
        verdict: compared with known values, or seen for the first time.
        distances: for each modality, the largest relative distance over its probes; empty at first use.
        tolerance: what was allowed.
    """

    verdict: Verdict
    distances: Mapping[Modality, float]
    tolerance: float


class CanaryError(DataError):
    """The encoder does not answer the probes as it should."""


def probe_images() -> list[Image]:
    """Five small images of odd sizes: ramps, a checkerboard, fine rings, hard colours, transparency."""
    import numpy as np
    from PIL import Image as Pillow

    def grid(width: int, height: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        y, x = np.mgrid[0:height, 0:width].astype(np.int64)
        return x, y

    def image(*channels: NDArray[np.int64]) -> Image:
        return Pillow.fromarray(np.stack([c & 255 for c in channels], axis=-1).astype(np.uint8))

    x, y = grid(97, 61)
    ramps = image(x * 255 // 96, y * 255 // 60, (x + y) * 255 // 156)
    x, y = grid(61, 97)
    checks = image(((x // 5 + y // 7) % 2) * 200 + 20, ((x // 11 + y // 3) % 2) * 160, 255 - 2 * y)
    x, y = grid(257, 193)
    rings = image((x - 128) ** 2 + (y - 96) ** 2 >> 4, (x * x + y * y) >> 5, x * y >> 3)
    x, y = grid(33, 31)
    hues = image((x // 8) * 85 % 256, (y // 8) * 85 % 256, ((x // 4) ^ (y // 4)) * 37)
    x, y = grid(127, 129)
    inside = ((x - 63) ** 2 + (y - 64) ** 2 < 50**2).astype(np.int64)
    badge = image(190 + 0 * x, 40 + x // 2, 60 + y // 2, inside * (255 - x // 2))
    return [ramps, checks, rings, hues, badge]


def probe_texts() -> list[str]:
    """Five texts: plain, capitals and marks, accents and symbols, one word, one beyond any context length."""
    animals = (
        "otter",
        "heron",
        "lynx",
        "gecko",
        "walrus",
        "finch",
        "tapir",
        "moth",
        "bison",
        "newt",
        "crane",
    )
    long = ", ".join(f"{animals[i % 11]} number {i} beside a {animals[(i * 7 + 3) % 11]}" for i in range(600))
    return [
        "a photo of a cat.",
        "A BLURRY Photo: TWO dogs & 3 birds!!",
        "une tasse de café à côté d'un œuf, Größe 42 €",
        "lighthouse",
        long,
    ]


def fingerprint(encoder: Encoder) -> dict[Modality, tuple[float, ...]]:
    """Answers of an encoder to the probes, as a few rounded numbers for each modality.

    Each probe's features are scaled to unit norm and projected on ``PROJECTIONS`` fixed vectors of signs; the
    numbers of one probe stand together.

    Args:
        encoder: its ``preprocess`` record is applied to the image probes.

    Returns:
        For each modality, 5 * ``PROJECTIONS`` numbers.

    Raises:
        CanaryError: when a feature is not finite, zero, or of another width than ``encoder.dim``.
    """
    answers: dict[Modality, tuple[float, ...]] = {}
    if Modality.IMAGE in encoder.modalities:
        answers[Modality.IMAGE] = _projected(encoder, Modality.IMAGE, _image_features(encoder))
    if Modality.TEXT in encoder.modalities:
        answers[Modality.TEXT] = _projected(encoder, Modality.TEXT, encoder.encode_texts(probe_texts()))
    return answers


def check(encoder: Encoder, memory: Path | None = None) -> Finding:
    """Compare an encoder's answers to the probes with what is known of it.

    Known values are ``encoder.canary``, recorded by its author. Without them the first answers are kept under
    ``memory`` by the digest of the weights alone (``encoder.weights_digest()`` where it has that, else
    ``encoder.digest()``) and precision, so that other preprocessing or activation on the same weights is
    noticed.

    Args:
        encoder: any encoder; an optional attribute ``precision`` widens the tolerance for bf16 and fp16.
        memory: folder where first answers are kept; ``None`` keeps nothing.

    Returns:
        ``MATCHED`` with distances, or ``FIRST_USE``.

    Raises:
        CanaryError: when the answers differ; it names modality, probe, distance and tolerance.
    """
    found = fingerprint(encoder)
    precision = Precision(getattr(encoder, "precision", Precision.FP32))
    if encoder.canary is not None:
        return _compared(encoder, encoder.canary, found, _ROUNDING[precision], "")
    default = Canary(values=found)
    if memory is None:
        return Finding(verdict=Verdict.FIRST_USE, distances={}, tolerance=default.tolerance)
    tolerance = default.tolerance + _ROUNDING[precision]
    path = memory / f"{_identity(encoder)}-{precision.value}-{PROBES}.json"
    known = _read(path)
    if known is None:
        _write(path, encoder, found)
        return Finding(verdict=Verdict.FIRST_USE, distances={}, tolerance=tolerance)
    hint = f"If the first use was the wrong one, forget it: rm {path}"
    return _compared(encoder, Canary(values=known), found, _ROUNDING[precision], hint)


def distance(expected: Sequence[float], found: Sequence[float]) -> tuple[float, int]:
    """Largest relative distance over the probes, and the probe's place; infinite when lengths differ."""
    import numpy as np

    if len(expected) != len(found) or not len(expected) or len(expected) % PROJECTIONS:
        return float("inf"), 0
    a = np.asarray(expected, dtype=np.float64).reshape(-1, PROJECTIONS)
    b = np.asarray(found, dtype=np.float64).reshape(-1, PROJECTIONS)
    apart = np.linalg.norm(a - b, axis=1) / np.maximum(np.linalg.norm(a, axis=1), 1e-12)
    worst = int(apart.argmax())
    return float(apart[worst]), worst


def _image_features(encoder: Encoder) -> Any:
    import numpy as np
    import torch

    if encoder.preprocess is None:
        raise CanaryError(
            f"encoder {encoder.name!r} reads images but its preprocess is None: expected a Preprocess"
        )
    transform = Transform(encoder.preprocess)
    return encoder.encode_images(torch.from_numpy(np.stack([transform(image) for image in probe_images()])))


def _projected(encoder: Encoder, modality: Modality, features: Any) -> tuple[float, ...]:
    import numpy as np

    rows = np.asarray(features.detach().float().cpu().numpy(), dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != encoder.dim:
        raise CanaryError(
            f"encoder {encoder.name!r} gave {modality.value} features of shape {rows.shape}: "
            f"expected (n, {encoder.dim})"
        )
    norms = np.linalg.norm(rows, axis=1)
    if not np.isfinite(rows).all() or not (norms > 0).all():
        bad = [i for i in range(len(rows)) if not np.isfinite(rows[i]).all() or not norms[i] > 0]
        raise CanaryError(
            f"encoder {encoder.name!r} gave {modality.value} features that are not finite or all zero "
            f"for probe {bad[0]} of {len(rows)}",
            "Half precision overflows in some towers: try --precision fp32",
        )
    projected = (rows / norms[:, None]) @ _signs(encoder.dim).T
    return tuple(round(float(value), _DECIMALS) for value in projected.ravel())


def _signs(dim: int) -> NDArray[np.float64]:
    # From a hash rather than a generator: numpy may change its streams, SHAKE cannot change.
    import numpy as np

    width = -(-dim // 8)
    stream = hashlib.shake_256(b"lpcm-canary-1").digest(PROJECTIONS * width)
    bits = np.unpackbits(np.frombuffer(stream, dtype=np.uint8)).reshape(PROJECTIONS, width * 8)[:, :dim]
    return bits.astype(np.float64) * 2 - 1


def _compared(
    encoder: Encoder, known: Canary, found: Mapping[Modality, tuple[float, ...]], rounding: float, hint: str
) -> Finding:
    tolerance = known.tolerance + rounding
    distances: dict[Modality, float] = {}
    for modality, values in known.values.items():
        if modality not in found:
            raise CanaryError(
                f"encoder {encoder.name!r} has a canary for {modality.value}, which it does not read", hint
            )
        distances[modality], probe = distance(values, found[modality])
        if distances[modality] > tolerance:
            cause = (
                "preprocessing (interpolation, size, mean, std), activation or weights"
                if modality is Modality.IMAGE
                else "tokenizer, context length, activation or weights"
            )
            raise CanaryError(
                f"encoder {encoder.name!r} is not the one that was recorded: its {modality.value} features "
                f"of probe {probe} are off by {distances[modality]:.3g} relative to their size, allowed is "
                f"{tolerance:.3g}. Something changed in {cause}.",
                hint,
            )
    return Finding(verdict=Verdict.MATCHED, distances=distances, tolerance=tolerance)


def _identity(encoder: Encoder) -> str:
    of_weights = getattr(encoder, "weights_digest", None)
    return str(of_weights() if of_weights is not None else encoder.digest())


def _read(path: Path) -> dict[Modality, tuple[float, ...]] | None:
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text())["values"]
        return {Modality(name): tuple(map(float, numbers)) for name, numbers in values.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a canary record: {error}", f"Forget it: rm {path}") from error


def _write(path: Path, encoder: Encoder, values: Mapping[Modality, tuple[float, ...]]) -> None:
    numbers = {modality.value: list(answers) for modality, answers in values.items()}
    write_bytes(path, json.dumps({"encoder": encoder.name, "values": numbers}, indent=1).encode())
