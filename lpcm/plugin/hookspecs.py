"""The hooks of lpcm: all that a plugin can implement. Refuses to hold anything else.

A plugin module marks its implementations with ``lpcm.plugin.hookimpl`` and may state the version
of this interface that it was written for: ``LPCM_API = (1, 0)``.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from lpcm.plugin.records import (
    AdapterRecord,
    DatasetRecord,
    DisentanglerRecord,
    EncoderRecord,
    GeometryRecord,
    MetricRecord,
    RunRecord,
    TaskRecord,
)

API = (1, 0)
"""Version of this interface: a newer major is refused, a newer minor only has its unknown hooks reported."""

GROUP = "lpcm"
"""Entry-point group, pluggy project name and hook prefix."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def lpcm_encoders() -> Iterable[EncoderRecord]:  # type: ignore[empty-body]
    """Yield the encoders that this plugin offers. Since 1.0."""


@hookspec
def lpcm_geometries() -> Iterable[GeometryRecord]:  # type: ignore[empty-body]
    """Yield the latent geometries that this plugin offers. Since 1.0."""


@hookspec
def lpcm_disentanglers() -> Iterable[DisentanglerRecord]:  # type: ignore[empty-body]
    """Yield the disentanglers that this plugin offers. Since 1.0."""


@hookspec
def lpcm_adapters() -> Iterable[AdapterRecord]:  # type: ignore[empty-body]
    """Yield the few-shot adapters that this plugin offers. Since 1.0."""


@hookspec
def lpcm_tasks() -> Iterable[TaskRecord]:  # type: ignore[empty-body]
    """Yield the downstream tasks that this plugin offers. Since 1.0."""


@hookspec
def lpcm_datasets() -> Iterable[DatasetRecord]:  # type: ignore[empty-body]
    """Yield the datasets that this plugin offers. Since 1.0."""


@hookspec
def lpcm_metrics() -> Iterable[MetricRecord]:  # type: ignore[empty-body]
    """Yield the metrics that this plugin offers. Since 1.0."""


@hookspec
def lpcm_run_finished(record: RunRecord) -> None:
    """Act on a finished run, for example to export its rows. Since 1.0."""
