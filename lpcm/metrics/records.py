"""What the built-in metrics are called and where they are. Imports nothing heavy."""

from __future__ import annotations

from lpcm.plugin.records import MetricRecord

RECORDS: tuple[MetricRecord, ...] = (
    MetricRecord(
        name="accuracy",
        summary="share of predictions that are right",
        loader="lpcm.metrics.accuracy:Accuracy",
        source="standard",
    ),
    MetricRecord(
        name="balanced-accuracy",
        summary="mean over classes of the share of their samples that is right",
        loader="lpcm.metrics.accuracy:BalancedAccuracy",
        source="Brodersen et al. 2010",
    ),
)
