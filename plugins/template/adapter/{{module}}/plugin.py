"""What this distribution offers to lpcm. Imports nothing heavy: `lpcm-eval ls` must stay instant."""

from collections.abc import Iterable

from lpcm.plugin import AdapterRecord, Modality, Param, hookimpl

LPCM_API = (1, 0)


@hookimpl
def lpcm_adapters() -> Iterable[AdapterRecord]:
    yield AdapterRecord(
        name="{{name}}",
        summary="nearest class mean, shrunk to the common mean by a share chosen on validation",
        loader="{{module}}.adapter:NearestMean",
        needs=(Modality.IMAGE,),
        params=(
            Param(
                name="shares",
                help="shares of the common mean to choose from",
                default=(0.0, 0.1, 0.3),
                type=tuple,
            ),
        ),
        source="Tibshirani et al., PNAS 2002, with one share for all features",
    )
