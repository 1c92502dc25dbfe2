"""What the built-in geometries are called and where they are. Imports nothing heavy."""

from __future__ import annotations

from lpcm.plugin.records import GeometryRecord, Param


def _laws(marginal: str | None, conditional: str | None) -> tuple[Param, ...]:
    return (
        Param(
            name="marginal",
            help="law of a latent: uniform, normal:S, laplace:B ...",
            default=marginal,
            type=str,
        ),
        Param(
            name="conditional",
            help="law of its partner: vmf:KAPPA, laplace:B, normal:S, gennorm:S:P",
            default=conditional,
            type=str,
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
    GeometryRecord(
        name="ball",
        summary="ball, uniform marginal, Laplace conditional cut to it: a convex body without axes",
        loader="lpcm.geometries.ball:Ball",
        params=(
            *_laws("uniform", "laplace:0.05"),
            Param(name="radius", help="of the ball", default=1.0, type=float),
            _extent("fixed"),
        ),
        identifies="permutation",
        source="arXiv 2402.06223, theorem 4.3",
    ),
    GeometryRecord(
        name="unbounded",
        summary="all of R^d, normal marginal and conditional: a control that no theorem covers",
        loader="lpcm.geometries.unbounded:Unbounded",
        params=_laws("normal:1", "normal:0.05"),
        identifies="nothing",
        source="arXiv 2402.06223, rows that violate theorem 4.3",
    ),
    GeometryRecord(
        name="product",
        summary="product of geometries that use one similarity",
        loader="lpcm.geometries.product:Product",
        params=(
            Param(
                name="factors",
                help="parts and their widths, for example sphere:3+sphere:2",
                default="sphere+sphere",
            ),
            *_laws(None, None),
        ),
        identifies="orthogonal",
        source="arXiv 2402.06223, theorems 4.1 and 4.3",
    ),
)
