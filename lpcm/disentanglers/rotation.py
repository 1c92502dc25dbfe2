"""A random rotation of PCA-whitening: what identifying nothing looks like. A control, not a method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.certificate import Decider
from lpcm.disentanglers.haar import haar
from lpcm.disentanglers.spectrum import Spectrum
from lpcm.disentanglers.whiten import Whiten


class RandomRotation(Whiten):
    """Whitened components turned by an orthogonal matrix drawn from the Haar measure.

    Args are those of ``Whiten``; ``random_state`` decides the rotation.

    Source: Mezzadri 2007, see ``haar``.
    """

    # Signs of the axes are fixed by their entries, which a rotation of the features changes; the draw is not.
    equivariance = ("translation", "scale")
    decider = Decider.NOTHING

    def _solve(self, spectrum: Spectrum) -> NDArray[np.float64]:
        whitening = super()._solve(spectrum)
        self.facts_["rotation"] = "haar"
        return haar(len(whitening), np.random.default_rng(self.random_state)) @ whitening
