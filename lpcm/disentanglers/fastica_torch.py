"""The symmetric fixed point of FastICA in torch, over rows in chunks. Refuses to hold more than it is told to.

A pass over the rows gives, for a chunk Z (m, k) of whitened rows and the rotation W,

    Y = tanh(Z W^T),     sums of  Y^T Z  and of  1 - Y^2 ,

which is all that a step needs (Hyvarinen 1999; see ``docs/disentanglers/ica.md``). A chunk's products are taken
in the asked precision; sums over chunks, the rotation and its orthogonalisation are float64, so that float32
costs no convergence: what is left of its rounding turns a direction by about 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray

from lpcm.disentanglers.engines import Unmixing, decorrelate, starting_point
from lpcm.disentanglers.spectrum import Spectrum
from lpcm.errors import MissingError
from lpcm.keys import Key

BATCH_STEPS = 20
"""Steps on the batch at most: it need not converge, only come near."""

Passes = Callable[[], Iterable[torch.Tensor]]
"""Gives the chunks of whitened rows anew at each call."""


class Precision(str, Enum):
    """Arithmetic of the products over rows."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


class Hold(str, Enum):
    """Where whitened rows are between passes."""

    MEMORY = "memory"  # n k numbers are kept on the device
    SOURCE = "source"  # nothing is kept: each pass reads and projects the rows again


def by_torch(
    spectrum: Spectrum,
    k: int,
    *,
    max_iter: int,
    tol: float,
    random_state: int,
    precision: Precision = Precision.FLOAT32,
    device: str = "cpu",
    batch: int | None = None,
    hold: Hold = Hold.MEMORY,
) -> tuple[Unmixing, float]:
    """Unmix the first k whitened components.

    Args:
        spectrum: of the rows; where they are chunked, they are read again at each pass.
        k: components.
        max_iter: passes over all rows at most.
        tol: largest change of a direction, 1 - |cos|, at which iterating stops.
        random_state: decides the starting point and the batch.
        precision: of the products over rows.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        batch: rows, drawn evenly, for the first ``BATCH_STEPS`` steps; ``None`` uses all at once.
        hold: where whitened rows are between passes.

    Returns:
        the rotation, and how far the last step turned a direction: one more pass would only tell the next.

    Raises:
        MissingError: when ``device`` is a GPU and torch sees none.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise MissingError(f"device is {device!r} and torch sees no GPU", "leave it out, or take device=cpu")
    dtype = getattr(torch, precision.value)
    n = spectrum.shape[0]

    def read() -> Iterator[torch.Tensor]:
        projection = torch.from_numpy((spectrum.axes[:k] / spectrum.scales[:k, None]).T).to(device, dtype)
        for chunk in spectrum.centred():
            yield torch.from_numpy(chunk).to(dtype).to(device) @ projection

    passes: Passes = read
    if hold is Hold.MEMORY:
        held = list(read())
        passes = lambda: held  # noqa: E731
    rotation = decorrelate(starting_point(k, random_state))
    tried = 0
    if batch is not None and batch < n:
        rows = Key.of(random_state).fold("ica", "batch").generator().choice(n, batch, replace=False)
        drawn = [_taken(passes(), np.sort(rows))]
        rotation, tried, _ = _iterate(rotation, lambda: drawn, batch, min(max_iter, BATCH_STEPS), tol)
    rotation, iterations, turned = _iterate(rotation, passes, n, max_iter, tol)
    return Unmixing(rotation, iterations, tried), turned


def _iterate(
    rotation: NDArray[np.float64], passes: Passes, n: int, max_iter: int, tol: float
) -> tuple[NDArray[np.float64], int, float]:
    iterations, turned = 0, np.inf
    while iterations < max_iter and turned >= tol:
        following = _step(rotation, passes(), n)
        turned = _turn(rotation, following)
        rotation, iterations = following, iterations + 1
    return rotation, iterations, turned


def _step(rotation: NDArray[np.float64], chunks: Iterable[torch.Tensor], n: int) -> NDArray[np.float64]:
    k = len(rotation)
    products, slopes = np.zeros((k, k)), np.zeros(k)
    W = None
    for chunk in chunks:
        if W is None:
            W = torch.from_numpy(rotation).to(chunk)
        y = (chunk @ W.T).tanh_()
        products += (y.T @ chunk).cpu().numpy()
        slopes += len(chunk) - torch.linalg.vector_norm(y, dim=0).square_().cpu().numpy().astype(np.float64)
    return decorrelate(products / n - (slopes / n)[:, None] * rotation)


def _turn(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The largest 1 - |cos| between a direction before and after a step."""
    return float(np.max(np.abs(np.abs(np.einsum("ij,ij->i", first, second)) - 1)))


def _taken(chunks: Iterable[torch.Tensor], rows: NDArray[np.intp]) -> torch.Tensor:
    """The rows at these places, ascending, as one chunk."""
    found, start = [], 0
    for chunk in chunks:
        here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(chunk))] - start
        found.append(chunk[torch.from_numpy(here).to(chunk.device)])
        start += len(chunk)
    return torch.cat(found)
