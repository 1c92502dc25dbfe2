"""States an interface with a newer major version."""

from __future__ import annotations

from collections.abc import Iterable

from lpcm.plugin import EncoderRecord, hookimpl

LPCM_API = (99, 0)


@hookimpl
def lpcm_encoders() -> Iterable[EncoderRecord]:
    """Offer an encoder that this lpcm could not use."""
    yield EncoderRecord(name="from-the-future", summary="never seen", loader="nowhere:Nothing")
