"""What the built-in adapters are called and where they are. Imports nothing heavy."""

from __future__ import annotations

from lpcm.plugin.records import AdapterRecord, Modality, Param

RECORDS: tuple[AdapterRecord, ...] = (
    AdapterRecord(
        name="linear-probe",
        summary="L2 logistic regression, C chosen on validation",
        loader="lpcm.adapters.linear_probe:LinearProbe",
        params=(
            Param(name="C", help="inverse penalty; left out: chosen on validation", type=float),
            Param(
                name="grid",
                help="the C to choose from",
                default=(1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6),
                type=tuple,
            ),
            Param(
                name="search",
                help="one pass over the grid, or a coarse sweep then bisection",
                default="grid",
                choices=("grid", "two-stage"),
            ),
            Param(
                name="scale",
                help="divide features by the root-mean-square norm of the training rows, or by nothing",
                default="rms",
                choices=("rms", "none"),
            ),
            Param(
                name="solver",
                help="certified and warm along C, or scikit-learn as it comes",
                default="path",
                choices=("path", "sklearn"),
            ),
            Param(name="max_iter", help="solver iterations at most, for each C", default=2000, type=int),
        ),
        source="Radford et al. 2021, section 3.2",
    ),
    AdapterRecord(
        name="zero-shot",
        summary="cosine with the class prompts; nothing is learned",
        loader="lpcm.adapters.zero_shot:ZeroShot",
        needs=(Modality.IMAGE, Modality.TEXT),
        source="Radford et al. 2021, section 3.1",
    ),
)
