"""Random rotations. Refuses to make its own randomness: the generator is the caller's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def haar(k: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw an orthogonal (k, k) matrix from the Haar measure on O(k).

    Source: F. Mezzadri, "How to generate random matrices from the classical compact groups", 2007:
    the QR factor of a Gaussian matrix, with the signs of R's diagonal moved into Q, is Haar.
    """
    q, r = np.linalg.qr(generator.standard_normal((k, k)))
    turned: NDArray[np.float64] = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return turned
