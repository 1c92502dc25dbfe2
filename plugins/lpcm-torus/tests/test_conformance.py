"""The claims that lpcm makes for every geometry, checked on the torus."""

from __future__ import annotations

from collections.abc import Callable

from lpcm.testing import check_geometry


@check_geometry("torus")
def test_the_torus_conforms(check: Callable[[], None]) -> None:
    check()
