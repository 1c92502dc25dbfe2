"""A random rotation of PCA-whitening: what identifying nothing looks like. A control, not a method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.spectrum import Spectrum
from lpcm.disentanglers.whiten import Whiten


class RandomRotation(Whiten):
    """Whitened components turned by an orthogonal matrix drawn from the Haar measure.

    Args are those of ``Whiten``; ``random_state`` decides the rotation.

    Source: F. Mezzadri, "How to generate random matrices from the classical compact groups", 2007:
    the QR factor of a Gaussian matrix, with the signs of R's diagonal moved into Q, is Haar.
    """

    # Signs of the axes are fixed by their entries, which a rotation of the features changes; the draw is not.
    equivariance = ("translation", "scale")

    def _solve(self, spectrum: Spectrum) -> NDArray[np.float64]:
        whitening = super()._solve(spectrum)
        self.facts_["rotation"] = "haar"
        return haar(len(whitening), np.random.default_rng(self.random_state)) @ whitening


def haar(k: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw an orthogonal (k, k) matrix from the Haar measure on O(k)."""
    q, r = np.linalg.qr(generator.standard_normal((k, k)))
    turned: NDArray[np.float64] = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return turned
