"""What the built-in disentanglers are called and where they are. Imports nothing heavy."""

from __future__ import annotations

from lpcm.plugin.records import DisentanglerRecord, Param, Role

_K = Param(name="k", help="components; left out: min(256, d, n // 5), at most the rank", type=int)
_EXCESS = Param(
    name="excess",
    help="what to do with a k above the numerical rank",
    default="refuse",
    choices=("refuse", "cap"),
)
_MAX_ITER = Param(name="max_iter", help="fixed-point iterations at most", default=1000, type=int)
_TOL = Param(name="tol", help="change of a direction at which iterating stops", default=1e-4, type=float)
_ENGINE = Param(
    name="engine",
    help="who iterates; torch is the fastest and reads rows in chunks, picard needs lpcm[picard]",
    default="sklearn",
    choices=("sklearn", "torch", "picard"),
)
_PRECISION = Param(
    name="precision", help="arithmetic of engine=torch", default="float32", choices=("float32", "float64")
)
_DEVICE = Param(name="device", help="of engine=torch: cpu, cuda or cuda:N", default="cpu")
_BATCH = Param(
    name="batch",
    help="of engine=torch: rows for the first steps, before all are used; left out: all",
    type=int,
)
_CERTIFICATE = Param(
    name="certificate",
    help="tell what was identified; quick costs 4 fits more, full 8",
    default="none",
    choices=("none", "quick", "full"),
)
_P = Param(name="p", help="principal components kept first; left out: min(2 k, d, n - 1)", type=int)

RECORDS: tuple[DisentanglerRecord, ...] = (
    DisentanglerRecord(
        name="none",
        summary="features as the encoder gives them",
        loader="lpcm.disentanglers.none:Identity",
        params=(_CERTIFICATE,),
        role=Role.CONTROL,
        source="baseline",
    ),
    DisentanglerRecord(
        name="pca",
        summary="the k directions of largest variance",
        loader="lpcm.disentanglers.pca:PCA",
        params=(_K, _EXCESS, _CERTIFICATE),
        source="Pearson 1901",
    ),
    DisentanglerRecord(
        name="whiten",
        summary="PCA, each direction scaled to variance 1: FastICA without its rotation",
        loader="lpcm.disentanglers.whiten:Whiten",
        params=(_K, _EXCESS, _CERTIFICATE),
        role=Role.CONTROL,
        source="control for ica",
    ),
    DisentanglerRecord(
        name="rotation",
        summary="a random rotation of whiten: what identifying nothing looks like",
        loader="lpcm.disentanglers.rotation:RandomRotation",
        params=(_K, _EXCESS, _CERTIFICATE),
        role=Role.CONTROL,
        source="Mezzadri 2007",
    ),
    DisentanglerRecord(
        name="ica",
        summary="FastICA to k independent components",
        loader="lpcm.disentanglers.ica:ICA",
        params=(_K, _MAX_ITER, _TOL, _ENGINE, _PRECISION, _DEVICE, _BATCH, _EXCESS, _CERTIFICATE),
        source="Hyvarinen 1999; arXiv 2402.06223, section 5",
    ),
    DisentanglerRecord(
        name="pca-ica",
        summary="PCA to p, then FastICA to k: the paper's recipe",
        loader="lpcm.disentanglers.pca_ica:PCAThenICA",
        params=(_P, _K, _MAX_ITER, _TOL, _ENGINE, _PRECISION, _DEVICE, _BATCH, _EXCESS, _CERTIFICATE),
        source="arXiv 2402.06223, section 5",
    ),
)
