"""What the built-in geometries are called and where they are. Imports nothing heavy."""

from __future__ import annotations

from lpcm.plugin.records import GeometryRecord, Param

RECORDS: tuple[GeometryRecord, ...] = (
    GeometryRecord(
        name="sphere",
        summary="unit hypersphere, uniform marginal, von Mises-Fisher conditional",
        loader="lpcm.geometries.sphere:Sphere",
        params=(Param(name="kappa", help="concentration of the conditional", default=1.0, type=float),),
        identifies="orthogonal",
        source="arXiv 2402.06223, theorem 4.1",
    ),
)
