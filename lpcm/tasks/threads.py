"""How many BLAS threads a task lets its products have. Refuses to change them: that is threadpoolctl's."""

from __future__ import annotations

SMALL = 1_000_000_000
"""Products below which one thread is enough."""


def blas_threads(products: int) -> int | None:
    """Threads for a problem of so many products; ``None`` is as many as there are.

    A small problem gets one: the row then has the same bits on any number of cores, and matrices this small gain
    nothing from more, but lose much on a machine that does other work.

    Example:
        >>> blas_threads(1000), blas_threads(10**12)
        (1, None)
    """
    return 1 if products < SMALL else None
