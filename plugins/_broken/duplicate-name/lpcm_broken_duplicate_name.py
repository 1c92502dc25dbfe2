"""Offers a disentangler called `whiten`, as lpcm itself does."""

from __future__ import annotations

from collections.abc import Iterable

from lpcm.plugin import DisentanglerRecord, hookimpl


@hookimpl
def lpcm_disentanglers() -> Iterable[DisentanglerRecord]:
    """Offer a name that is taken."""
    yield DisentanglerRecord(
        name="whiten", summary="another whitening", loader="lpcm.disentanglers.whiten:Whiten"
    )
