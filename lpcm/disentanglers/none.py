"""No disentangling: features as the encoder gives them, the baseline. Refuses only what is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.certificate import Effort, effort_of
from lpcm.disentanglers.linear import LinearDisentangler
from lpcm.disentanglers.spectrum import checked
from lpcm.errors import DataError


class Identity(LinearDisentangler):
    """The identity: ``transform`` returns its input.

    Args:
        certificate: taken like every disentangler's: nothing is refitted, since nothing is estimated.
        random_state: taken like every disentangler's, and not used.

    Example:
        >>> Identity().fit(np.eye(3)).transform(np.ones((1, 3)))
        array([[1., 1., 1.]], dtype=float32)
    """

    def __init__(self, *, certificate: str = Effort.NONE.value, random_state: int = 0) -> None:
        self.certificate = certificate
        self.random_state = random_state

    def fit(self, X: NDArray[np.floating], y: object = None) -> LinearDisentangler:
        """Remember the width of (n, d) features. Raises ``DataError`` when a value is not finite."""
        effort = effort_of(self.certificate)
        n, d = checked(X).shape
        if n == 0:
            raise DataError("a disentangler was given no rows: expected at least 1")
        self.n_features_in_ = d
        self.mean_ = np.zeros(d)
        self.facts_: dict[str, Any] = {"n": n, "d": d, "k": d, "whitening": "none"}
        self.components_ = np.eye(d)
        if effort is not Effort.NONE:
            self.facts_["certificate"] = {
                "effort": effort.value,
                "decided_by": self.decider.value,
                "identified": 0,
                "of": d,
                "notes": ["the axes are the encoder's own: nothing was estimated, so nothing was identified"],
            }
        return self

    def transform(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, d) features to themselves, float32. Raises as ``LinearDisentangler.transform``."""
        self._need_fit()
        return self._matching(X).astype(np.float32, copy=False)
