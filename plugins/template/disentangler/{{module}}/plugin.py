"""What this distribution offers to lpcm. Imports nothing heavy: `lpcm-eval ls` must stay instant."""

from collections.abc import Iterable

from lpcm.plugin import DisentanglerRecord, Param, Role, hookimpl

LPCM_API = (1, 0)


@hookimpl
def lpcm_disentanglers() -> Iterable[DisentanglerRecord]:
    yield DisentanglerRecord(
        name="{{name}}",
        summary="PCA-whitening turned by varimax: each component large on few rows",
        loader="{{module}}.disentangler:Varimax",
        role=Role.METHOD,
        params=(
            Param(name="k", help="components; left out: min(256, d, n // 5)", type=int),
            Param(name="max_iter", help="iterations at most", default=300, type=int),
            Param(
                name="tol",
                help="relative gain at which iterating stops",
                default=1e-7,
                type=float,
            ),
        ),
        source="Kaiser, Psychometrika 1958; Rohe and Zeng, arXiv 2004.05387",
    )
