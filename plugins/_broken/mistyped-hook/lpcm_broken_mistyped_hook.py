"""Misspells its hook; nothing of it is registered, not even the hook that is right."""

from __future__ import annotations

from collections.abc import Iterable

from lpcm.plugin import MetricRecord, hookimpl


@hookimpl
def lpcm_metrics() -> Iterable[MetricRecord]:
    """Offer something, so that a half-registered plugin would show."""
    yield MetricRecord(name="half-registered", summary="never seen", loader="nowhere:Nothing")


@hookimpl
def lpcm_encoder() -> Iterable[MetricRecord]:
    """The right name ends in s."""
    return ()
