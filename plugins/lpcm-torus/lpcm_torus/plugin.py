"""What this distribution offers to lpcm. Imports records only: ``lpcm-eval ls`` must stay instant."""

from __future__ import annotations

from collections.abc import Iterable

from lpcm.plugin.hookspecs import hookimpl
from lpcm.plugin.records import GeometryRecord, Param

LPCM_API = (1, 0)


@hookimpl
def lpcm_geometries() -> Iterable[GeometryRecord]:
    """The torus."""
    yield GeometryRecord(
        name="torus",
        summary="product of circles in R^2k, uniform marginal, von Mises conditional on each",
        loader="lpcm_torus.torus:Torus",
        params=(
            Param(name="marginal", help="law of each angle: uniform or vonmises:KAPPA", default="uniform"),
            Param(name="conditional", help="law of each angle around its own", default="vonmises:5"),
        ),
        identifies="orthogonal",
        source="arXiv 2402.06223, theorem 4.1, for a product of circles: see the README",
    )
