"""The claims that lpcm makes for every encoder and dataset, checked on those of this distribution."""

from __future__ import annotations

from collections.abc import Callable

from lpcm.testing import check_dataset, check_encoder


@check_encoder("lite0")
def test_lite0_conforms(check: Callable[[], None]) -> None:
    check()


@check_encoder("lite0-raw")
def test_lite0_raw_conforms(check: Callable[[], None]) -> None:
    check()


@check_dataset("emoji")
def test_emoji_conforms(check: Callable[[], None]) -> None:
    check()


@check_dataset("icons")
def test_icons_conform(check: Callable[[], None]) -> None:
    check()


@check_encoder("lite0-heads")
def test_lite0_heads_conforms(check: Callable[[], None]) -> None:
    check()


@check_encoder("lite0-mix")
def test_lite0_mix_conforms(check: Callable[[], None]) -> None:
    check()


@check_dataset("drawn-names")
def test_drawn_names_conform(check: Callable[[], None]) -> None:
    check()
