"""What this distribution offers to lpcm. Imports nothing heavy: `lpcm-eval ls` must stay instant."""

from collections.abc import Iterable

from lpcm.plugin import DatasetRecord, hookimpl

LPCM_API = (1, 0)


@hookimpl
def lpcm_datasets() -> Iterable[DatasetRecord]:
    yield DatasetRecord(
        name="{{name}}",
        summary="drawn shapes, filled and outlined; made on the fly",
        loader="{{module}}.dataset:Shapes",
        classes=4,
        images=480,
        licence="CC0-1.0",
    )
