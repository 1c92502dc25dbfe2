"""What a plugin author imports: the hook marker, the records, the contracts and the host.

Names are resolved lazily, so that importing this package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lpcm.plugin.contracts import (
        Adapter as Adapter,
        Bench as Bench,
        Block as Block,
        Canary as Canary,
        Cell as Cell,
        Dataset as Dataset,
        DatasetOptions as DatasetOptions,
        Disentangler as Disentangler,
        Encoder as Encoder,
        EncoderOptions as EncoderOptions,
        Fitted as Fitted,
        Geometry as Geometry,
        ImageSource as ImageSource,
        Laboratory as Laboratory,
        Metric as Metric,
        Precision as Precision,
        Preprocess as Preprocess,
        Resize as Resize,
        Sample as Sample,
        Simulation as Simulation,
        StoredFeatures as StoredFeatures,
        Task as Task,
        TextPrompts as TextPrompts,
    )
    from lpcm.plugin.hookspecs import (
        API as API,
        hookimpl as hookimpl,
    )
    from lpcm.plugin.host import (
        PluginHost as PluginHost,
    )
    from lpcm.plugin.records import (
        AdapterRecord as AdapterRecord,
        DatasetRecord as DatasetRecord,
        DisentanglerRecord as DisentanglerRecord,
        EncoderRecord as EncoderRecord,
        GeometryRecord as GeometryRecord,
        Kind as Kind,
        MetricRecord as MetricRecord,
        Modality as Modality,
        Param as Param,
        Role as Role,
        RunRecord as RunRecord,
        TaskRecord as TaskRecord,
    )
    from lpcm.plugin.trainable import (
        Trainable as Trainable,
        TrainableTower as TrainableTower,
    )
    from lpcm.plugin.truth import (
        Captions as Captions,
        FactorKind as FactorKind,
        Factors as Factors,
        Finding as Finding,
        Partition as Partition,
        Roster as Roster,
        Score as Score,
        Truth as Truth,
    )
    from lpcm.plugin.tuner import (
        PromptTuner as PromptTuner,
    )

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
    "lpcm.plugin.trainable": "Trainable TrainableTower",
    "lpcm.plugin.truth": "Captions FactorKind Factors Finding Partition Roster Score Truth",
    "lpcm.plugin.tuner": "PromptTuner",
}
_MODULE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'lpcm.plugin' has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)
