"""Takes a second to import, as a plugin does that imports its libraries at the top."""

from __future__ import annotations

import time
from collections.abc import Iterable

from lpcm.plugin import MetricRecord, hookimpl

time.sleep(1.0)


@hookimpl
def lpcm_metrics() -> Iterable[MetricRecord]:
    """Offer something that works: a slow plugin is still a plugin."""
    yield MetricRecord(
        name="slow-accuracy", summary="accuracy, announced slowly", loader="lpcm.metrics.accuracy:Accuracy"
    )
