"""What this distribution offers to lpcm. Imports no torch: `lpcm-eval ls` must stay instant."""

from collections.abc import Iterable

from lpcm.plugin import EncoderRecord, Modality, hookimpl

LPCM_API = (1, 0)


@hookimpl
def lpcm_encoders() -> Iterable[EncoderRecord]:
    yield EncoderRecord(
        name="{{name}}",
        summary="colours and edge directions in a 4 x 4 grid, projected to 128 numbers; not trained",
        loader="{{module}}.encoder:HistogramEncoder",
        modalities=(Modality.IMAGE,),
        dim=128,
        licence="yours",
        source="after histograms of oriented gradients: Dalal and Triggs, CVPR 2005",
    )
