"""What a plugin author imports: the hook marker, the records, the contracts and the host.

Names are resolved lazily, so that importing this package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lpcm.plugin.contracts import (
        Adapter,
        Bench,
        Block,
        Canary,
        Cell,
        Dataset,
        DatasetOptions,
        Disentangler,
        Encoder,
        EncoderOptions,
        Fitted,
        Geometry,
        ImageSource,
        Laboratory,
        Metric,
        Precision,
        Preprocess,
        Resize,
        Sample,
        Simulation,
        StoredFeatures,
        Task,
        TextPrompts,
    )
    from lpcm.plugin.hookspecs import API, hookimpl
    from lpcm.plugin.host import PluginHost
    from lpcm.plugin.records import (
        AdapterRecord,
        DatasetRecord,
        DisentanglerRecord,
        EncoderRecord,
        GeometryRecord,
        Kind,
        MetricRecord,
        Modality,
        Param,
        Role,
        RunRecord,
        TaskRecord,
    )
    from lpcm.plugin.truth import Captions, FactorKind, Factors, Finding, Partition, Roster, Score, Truth
    from lpcm.plugin.tuner import PromptTuner

_HOME = {
    "lpcm.plugin.contracts": (
        "Adapter Bench Block Canary Cell Dataset DatasetOptions Disentangler Encoder EncoderOptions Fitted Geometry "
        "ImageSource Laboratory Metric Precision Preprocess Resize Sample Simulation StoredFeatures Task TextPrompts"
    ),
    "lpcm.plugin.hookspecs": "API hookimpl",
    "lpcm.plugin.host": "PluginHost",
    "lpcm.plugin.records": (
        "AdapterRecord DatasetRecord DisentanglerRecord EncoderRecord GeometryRecord Kind MetricRecord Modality "
        "Param Role RunRecord TaskRecord"
    ),
    "lpcm.plugin.truth": "Captions FactorKind Factors Finding Partition Roster Score Truth",
    "lpcm.plugin.tuner": "PromptTuner",
}
_MODULE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'lpcm.plugin' has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)
