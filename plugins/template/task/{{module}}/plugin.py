"""What this distribution offers to lpcm. Imports nothing heavy: `lpcm-eval ls` must stay instant."""

from collections.abc import Iterable

from lpcm.plugin import Kind, Param, TaskRecord, hookimpl

LPCM_API = (1, 0)


@hookimpl
def lpcm_tasks() -> Iterable[TaskRecord]:
    yield TaskRecord(
        name="{{name}}",
        summary="accuracy when a share of the training labels is wrong",
        loader="{{module}}.task:WrongLabels",
        axes=(Kind.ENCODER, Kind.DATASET, Kind.DISENTANGLER, Kind.ADAPTER),
        params=(
            Param(
                name="wrong",
                help="share of labels replaced by a random one",
                default=0.2,
                type=float,
            ),
            Param(
                name="rows", help="training rows a class, at most", default=16, type=int
            ),
        ),
        source="after Natarajan et al., NeurIPS 2013",
    )
