"""What this distribution offers to lpcm. Imports no torch: `lpcm-eval ls` must stay instant."""

from collections.abc import Iterable

from lpcm.plugin import GeometryRecord, Param, hookimpl

LPCM_API = (1, 0)


@hookimpl
def lpcm_geometries() -> Iterable[GeometryRecord]:
    yield GeometryRecord(
        name="{{name}}",
        summary="the unit ball: uniform marginal, partners from a truncated Gaussian",
        loader="{{module}}.geometry:Ball",
        identifies="nothing",
        params=(
            Param(
                name="sigma",
                help="spread of a partner around its latent",
                default=0.2,
                type=float,
            ),
        ),
    )
