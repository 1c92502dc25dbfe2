"""The seal: hands out the truth of the test side once, after fitting is closed. Refuses every other order.

One exception, which marks the row for ever: a cell that repeats a published rule that looks at test labels may
borrow them while it fits.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from lpcm.errors import SealError

T = TypeVar("T")


class Loan(str, Enum):
    """Whether test labels may be borrowed while fitting."""

    REFUSED = "refused"
    ORACLE = "oracle"  # a published rule needs them; the row says so


class Seal(Generic[T]):
    """The truth of one cell's test side, not even read before the seal opens.

    Args:
        read: reads the truth, for example the labels of the test samples.
        loan: whether it may be borrowed while fitting.

    Example:
        >>> seal = Seal(lambda: [3])
        >>> seal.open()
        Traceback (most recent call last):
            ...
        lpcm.errors.SealError: test labels were asked for while fitting was still open
        >>> seal.close_fitting()
        >>> seal.open()
        [3]
    """

    def __init__(self, read: Callable[[], T], loan: Loan = Loan.REFUSED) -> None:
        self._read = read
        self._loan = loan
        self._fitting_closed = False
        self._opened = False
        self._lent = False

    @property
    def fitting_closed(self) -> bool:
        """Whether fitting has ended; nothing may be fitted from then on."""
        return self._fitting_closed

    @property
    def lent(self) -> bool:
        """Whether the truth was borrowed while fitting."""
        return self._lent

    def close_fitting(self) -> None:
        """End fitting. There is no way back."""
        self._fitting_closed = True

    def lend(self) -> None:
        """Note that test labels are borrowed. Raises ``SealError`` where that is refused."""
        if self._loan is not Loan.ORACLE:
            raise SealError(
                "a task asked for test labels while fitting",
                "a task whose oracle(axes) says yes may, and its rows are marked",
            )
        self._lent = True

    def open(self) -> T:
        """The truth. Raises ``SealError`` before fitting is closed and at a second call."""
        if not self._fitting_closed:
            raise SealError("test labels were asked for while fitting was still open")
        if self._opened:
            raise SealError("test labels were asked for a second time")
        self._opened = True
        return self._read()
