"""The built-ins, announced through the same hooks as any plugin. Imports records only, never a loader."""

from __future__ import annotations

from collections.abc import Iterable

from lpcm.adapters.records import RECORDS as ADAPTERS
from lpcm.datasets.records import RECORDS as DATASETS
from lpcm.disentanglers.records import RECORDS as DISENTANGLERS
from lpcm.encoders.records import DATASETS as STORED_DATASETS
from lpcm.encoders.records import RECORDS as ENCODERS
from lpcm.geometries.records import RECORDS as GEOMETRIES
from lpcm.metrics.records import RECORDS as METRICS
from lpcm.plugin.hookspecs import API, hookimpl
from lpcm.plugin.records import (
    AdapterRecord,
    DatasetRecord,
    DisentanglerRecord,
    EncoderRecord,
    GeometryRecord,
    MetricRecord,
    TaskRecord,
)
from lpcm.tasks.records import RECORDS as TASKS

LPCM_API = API


@hookimpl
def lpcm_encoders() -> Iterable[EncoderRecord]:
    """Encoders of open_clip and timm, and features that were computed elsewhere."""
    return ENCODERS


@hookimpl
def lpcm_geometries() -> Iterable[GeometryRecord]:
    """Latent spaces of the paper."""
    return GEOMETRIES


@hookimpl
def lpcm_disentanglers() -> Iterable[DisentanglerRecord]:
    """FastICA, PCA and their controls."""
    return DISENTANGLERS


@hookimpl
def lpcm_adapters() -> Iterable[AdapterRecord]:
    """Classifiers on frozen features."""
    return ADAPTERS


@hookimpl
def lpcm_tasks() -> Iterable[TaskRecord]:
    """Downstream tasks."""
    return TASKS


@hookimpl
def lpcm_datasets() -> Iterable[DatasetRecord]:
    """Folders, manifests, and sets of the field."""
    return (*DATASETS, *STORED_DATASETS)


@hookimpl
def lpcm_metrics() -> Iterable[MetricRecord]:
    """Scores with their nulls."""
    return METRICS
