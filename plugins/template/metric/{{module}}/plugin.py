"""What this distribution offers to lpcm. Imports nothing heavy: `lpcm-eval ls` must stay instant."""

from collections.abc import Iterable

from lpcm.plugin import MetricRecord, hookimpl

LPCM_API = (1, 0)


@hookimpl
def lpcm_metrics() -> Iterable[MetricRecord]:
    yield MetricRecord(
        name="{{name}}",
        summary="Cohen's kappa: agreement beyond what the label counts alone give",
        loader="{{module}}.metric:Kappa",
        range=(-1.0, 1.0),
        higher_is_better=True,
        source="Cohen, Educational and Psychological Measurement 1960",
    )
