"""What the built-in geometries are called and where they are. Imports nothing heavy."""

from __future__ import annotations

from lpcm.plugin.records import GeometryRecord, Param


def _laws(marginal: str, conditional: str) -> tuple[Param, ...]:
    return (
        Param(name="marginal", help="law of a latent: uniform, normal:S, laplace:B ...", default=marginal),
        Param(
            name="conditional",
            help="law of its partner: vmf:KAPPA, laplace:B, normal:S, gennorm:S:P",
            default=conditional,
        ),
        Param(
            name="similarity",
            help="of the loss: dot, l1, sqeuclidean or lp:P; by default the one of the conditional",
            default=None,
            type=str,
        ),
    )


def _extent(default: str) -> Param:
    return Param(
        name="extent",
        help="whether the head learns the size of its space",
        default=default,
        choices=("fixed", "learned"),
    )


RECORDS: tuple[GeometryRecord, ...] = (
    GeometryRecord(
        name="sphere",
        summary="unit hypersphere, uniform marginal, von Mises-Fisher conditional",
        loader="lpcm.geometries.sphere:Sphere",
        params=(*_laws("uniform", "vmf:1"), _extent("fixed")),
        identifies="orthogonal",
        source="arXiv 2402.06223, theorem 4.1",
    ),
    GeometryRecord(
        name="box",
        summary="hyperrectangle, uniform marginal, Laplace conditional cut to it",
        loader="lpcm.geometries.box:Box",
        params=(
            *_laws("uniform", "laplace:0.05"),
            Param(name="lower", help="lower bound of every coordinate", default=0.0, type=float),
            Param(name="upper", help="upper bound of every coordinate", default=1.0, type=float),
            _extent("learned"),
        ),
        identifies="permutation",
        source="arXiv 2402.06223, theorem 4.3",
    ),
)
