"""The seal: hands out test labels once, after fitting is closed. Refuses every other order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lpcm.errors import SealError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lpcm.plugin.contracts import Sample


class Seal:
    """Test labels of one cell, not even read from the samples before the seal opens.

    Args:
        samples: test samples in the order of their features.

    Example:
        >>> seal = Seal([Sample("a", None, 3)])
        >>> seal.open()
        Traceback (most recent call last):
            ...
        lpcm.errors.SealError: test labels were asked for while fitting was still open
        >>> seal.close_fitting()
        >>> seal.open()
        array([3])
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        self._fitting_closed = False
        self._opened = False

    @property
    def fitting_closed(self) -> bool:
        """Whether fitting has ended; nothing may be fitted from then on."""
        return self._fitting_closed

    def close_fitting(self) -> None:
        """End fitting. There is no way back."""
        self._fitting_closed = True

    def open(self) -> NDArray[np.int64]:
        """The labels, (n,). Raises ``SealError`` before fitting is closed and at a second call."""
        import numpy as np

        if not self._fitting_closed:
            raise SealError("test labels were asked for while fitting was still open")
        if self._opened:
            raise SealError("test labels were asked for a second time")
        self._opened = True
        return np.array([sample.label for sample in self._samples], dtype=np.int64)
