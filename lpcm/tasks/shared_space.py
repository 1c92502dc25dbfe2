"""One space for images and texts: unit features, both through the same disentangler. Refuses encoders without text.

The disentangler is fitted on the images of the training side. Images and texts lie apart in CLIP's space (Liang
et al. 2022), so the mean of the images is not that of the texts: ``Centre`` says which one is taken off the texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.prompts import unit
from lpcm.errors import DataError, UsageError, nearest
from lpcm.plugin.contracts import Bench, Disentangler

PLAIN = "none"
"""The disentangler that changes nothing; it needs no training side."""

DRAWN_NOTHING = (PLAIN, "pca", "whiten")
"""Disentanglers that no seed changes: one cell each. Of others nothing is known, so they have a cell a seed."""

_CHUNK = 8192


class Centre(str, Enum):
    """Which mean is taken off the texts before they are unmixed."""

    FITTED = "fitted"  # that of the training images, as the map was fitted
    MODALITY = "modality"  # their own


def centre_of(value: str) -> Centre:
    """The setting as an enum. Raises ``UsageError`` with the nearest name."""
    return Centre(one_of("centre", value, [centre.value for centre in Centre]))


def one_of(name: str, value: str, known: Sequence[str]) -> str:
    """The value of a setting when it is one of those known. Raises ``UsageError`` with the nearest."""
    if value not in known:
        raise UsageError(f"{name} is {value!r}: expected {' or '.join(known)}", nearest(str(value), known))
    return value


def seeds_of(disentangler: str, seeds: Sequence[int]) -> Iterator[int]:
    """Seeds for which a cell is worth running: one where nothing is drawn. The name may be ``dist:name``."""
    yield from seeds[:1] if disentangler.rpartition(":")[2] in DRAWN_NOTHING else seeds


@dataclass(frozen=True, eq=False)
class SharedSpace:
    """Maps both sides to unit rows of one space; without a disentangler the rows are the encoder's.

    Args:
        disentangler: fitted; ``None`` leaves features as they are.
        shift: (d,) float64 added to unit text features before they are mapped.
        facts: what the row says of it; ``of`` names what is compared.
        warnings: what its reader should know.
    """

    disentangler: Disentangler | None
    shift: NDArray[np.float64]
    facts: Mapping[str, Any]
    warnings: Sequence[str]

    def images(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) features of images to (n, k) float32 unit rows."""
        return self._mapped(features, np.zeros(()))

    def texts(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(m, d) features of texts to (m, k) float32 unit rows."""
        return self._mapped(features, self.shift)

    def _mapped(self, features: NDArray[np.float32], shift: NDArray[np.float64]) -> NDArray[np.float32]:
        # In chunks: of a quarter of a million captions a float64 copy alone would be a gigabyte.
        chunks = [features[start : start + _CHUNK] for start in range(0, len(features), _CHUNK)]
        return np.concatenate([self._mapped_chunk(chunk, shift) for chunk in chunks])

    def _mapped_chunk(self, features: NDArray[np.float32], shift: NDArray[np.float64]) -> NDArray[np.float32]:
        if not np.isfinite(features).all():
            bad = int((~np.isfinite(features)).any(axis=1).sum())
            raise DataError(f"features hold NaN or infinity in {bad} of {len(features)} rows")
        if self.disentangler is None:
            return unit(features).astype(np.float32)
        moved = (unit(features) + shift).astype(np.float32)
        return unit(self.disentangler.transform(moved)).astype(np.float32)


def shared_space(
    bench: Bench, disentangler: str, centre: Centre, texts: NDArray[np.float32] | None
) -> SharedSpace:
    """Fit the cell's disentangler on the unit features of the training images.

    Args:
        bench: of the cell.
        disentangler: its name in the cell's axes.
        centre: which mean is taken off the texts.
        texts: (m, d) features of texts of the training side; their mean is that of the texts. ``None`` where
            there are none.

    Raises:
        DataError: when the dataset has no training side, widths differ, or the texts' own mean is asked for and
            there are no texts.
    """
    name = disentangler.rpartition(":")[2]
    if name == PLAIN:
        return SharedSpace(None, np.zeros(()), {"of": "the encoder's features"}, ())
    if "train" not in bench.splits():
        raise DataError(
            f"disentangler {name!r} is fitted on training images, and the dataset has no train split",
            "give it one, or type --disentangler none",
        )
    images = unit(bench.block("train").features)
    if texts is not None and texts.shape[1] != images.shape[1]:
        raise DataError(f"image features have width {images.shape[1]} and text features {texts.shape[1]}")
    rows = images.astype(np.float32)
    fitted = bench.disentangler(rows, bench.key.fold("disentangler"))
    shift = np.zeros(images.shape[1])
    if centre is Centre.MODALITY:
        if texts is None:
            raise DataError(
                "centre=modality takes the texts' own mean, and the training side has no texts",
                "give its images captions, or set centre=fitted",
            )
        shift = images.mean(axis=0) - unit(texts).mean(axis=0)
    report = dict(fitted.report())
    warnings = tuple(report.pop("warnings", ()))
    facts: dict[str, Any] = {
        "of": "the components",
        "fit_rows": len(rows),
        "fit_on_what": "unit features of the training images, labels unused",
        "centre": centre.value,
        "disentangler": report,
    }
    space = SharedSpace(fitted, shift, facts, warnings)
    if texts is not None:
        facts["modality_gap"] = {
            "encoder": _gap(images, unit(texts)),
            "components": _gap(space.images(rows), space.texts(texts)),
        }
    return space


def _gap(images: NDArray[np.floating], texts: NDArray[np.floating]) -> float:
    """Distance between the means of unit rows of the two sides, in [0, 2] (Liang et al. 2022, section 2)."""
    return float(np.linalg.norm(images.mean(axis=0, dtype=np.float64) - texts.mean(axis=0, dtype=np.float64)))
