"""The geometry task: what an encoder's features are like, and which pipeline that speaks for.

Refuses labels, and to say that a pipeline will score better: it says which theorem's assumptions the features are near.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.disentanglers.ica import ICA
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import Bench
from lpcm.plugin.truth import Score, Truth
from lpcm.theory.advice import SIGMAS, Evidence, advise
from lpcm.theory.shape import Measure, kurtosis, pairs_of, rotated_kurtosis, shape_of

SEEDS = (0,)

LEVEL = 0.99
"""Share of components of random rotations that a component must be further from normal than, to count as an axis."""

_DRAWS = 200
_LEAST_ROWS = 20
_MOST_COMPONENTS = 64


class GeometryTask:
    """Measures of features and a recommendation, over encoder x dataset x seed.

    The score is the share of ICA components that are further from normal than ``LEVEL`` of randomly rotated ones, by
    |excess kurtosis| on the test side, which they were not fitted on; its null is the same share of other rotations.
    All other measures are of the training side.

    Args:
        components: k of the ICA; 0 takes min(64, d, n / 10).

    Attributes:
        truth: nothing; the task judges features.

    Source: alignment and uniformity: Wang and Isola 2020; modality gap: Liang et al. 2022; the choice of a pipeline:
    arXiv 2402.06223, section 5.
    """

    truth = Truth.NOTHING

    def __init__(self, *, components: int = 0) -> None:
        if components < 0 or components == 1:
            raise UsageError(f"geometry.components is {components}: expected 2 or more, or 0 to choose")
        self._components = components

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """One cell an encoder, dataset and seed."""
        for encoder in axes["encoder"]:
            for dataset in axes["dataset"]:
                for seed in axes.get("seed") or SEEDS:
                    yield {"encoder": encoder, "dataset": dataset, "seed": seed}

    def fit(self, bench: Bench, axes: Mapping[str, Any]) -> FittedGeometry:
        """Measure the training side and fit its ICA.

        Raises:
            DataError: for too few rows, NaN, features that do not vary.
        """
        block = bench.block("train")
        n, d = block.features.shape
        if n < _LEAST_ROWS:
            raise DataError(
                f"{n} training images are too few to speak of a geometry: expected {_LEAST_ROWS} or more"
            )
        key = bench.key.fold("geometry")
        shape = shape_of(block.features, key)
        paired, of = _pairs(bench, block.features, block.labels, key)
        k = self._components or max(2, min(_MOST_COMPONENTS, d, n // 10))
        ica = ICA(k=k, excess="cap", random_state=key.fold("ica").random_state()).fit(block.features)
        report = dict(ica.report())
        warnings = [str(said) for said in report.pop("warnings", ())]
        if not paired:
            warnings.append("no captions and no class prompts: alignment and modality gap are not known")
        about = {"k": len(ica.components_), "pairs": of, "n": n, "d": d}
        return FittedGeometry(ica, {**shape, **paired}, about, tuple(warnings), key)

    def score(self, predictions: Any, truth: None, classes: int) -> Score:
        """Unused: each fit scores itself."""
        raise NotImplementedError("FittedGeometry.score is used")


@dataclass(frozen=True, eq=False)
class FittedGeometry:
    """What was measured, with the ICA that test rows are seen through."""

    _ica: ICA
    _measures: Mapping[str, Measure]
    _about: Mapping[str, Any]
    warnings: Sequence[str]
    _key: Key
    selection: str = "nothing is chosen"

    @property
    def facts(self) -> Mapping[str, Any]:
        """The measures with their nulls."""
        return {**self._about, "measures": {name: m.as_json() for name, m in self._measures.items()}}

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Components of test rows, (n, d) -> (n, k)."""
        return np.asarray(self._ica.transform(features), dtype=np.float32)

    def score(self, predictions: NDArray[np.floating], truth: None, classes: int) -> Score:
        """How far from normal components are on rows that were not fitted on, and what that speaks for."""
        codes = np.asarray(predictions, dtype=np.float64)
        if len(codes) < _LEAST_ROWS:
            raise DataError(
                f"{len(codes)} test images are too few for a fourth moment: expected {_LEAST_ROWS} or more"
            )
        each = kurtosis(codes)
        rotations = rotated_kurtosis(codes, self._key)
        half = len(rotations) // 2
        limit = float(np.quantile(rotations[:half], LEVEL))
        sphericity = self._measures["sphericity"]
        evidence = Evidence(
            norm_spread=self._measures["norm_spread"].value,
            sphericity=sphericity.value / (sphericity.null or 1.0),
            kurtosis=float(each.mean()),
            rotations=float(rotations.mean() + SIGMAS * rotations.mean(1).std()),
        )
        advice = advise(evidence)
        return Score(
            metric="axes",
            value=float((each > limit).mean()),
            draws=self._draws(codes, limit),
            null={"rotation": float((rotations[half:] > limit).mean())},
            details={
                "recommendation": advice.pipeline.value,
                "because": advice.sentence,
                "evidence": {
                    "norm_spread": evidence.norm_spread,
                    "sphericity_of_null": evidence.sphericity,
                    "kurtosis": evidence.kurtosis,
                    "rotations_reach": evidence.rotations,
                },
                "kurtosis_quartiles": [float(q) for q in np.quantile(each, (0.25, 0.5, 0.75))],
            },
        )

    def _draws(self, codes: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
        """Bootstrap of the rows, moved so that its mean is the value: a fourth moment of repeats is biased."""
        generator = self._key.fold("draws").generator()
        found = np.array(
            [
                (kurtosis(codes[generator.integers(0, len(codes), len(codes))]) > limit).mean()
                for _ in range(_DRAWS)
            ]
        )
        return np.asarray(np.clip(found - found.mean() + (kurtosis(codes) > limit).mean(), 0, 1))


def _pairs(
    bench: Bench, features: NDArray[np.float32], labels: NDArray[np.int64], key: Key
) -> tuple[dict[str, Measure], str]:
    """Images beside their first captions where there are any, else beside their class's prompt."""
    try:
        captions = bench.captions("train")
    except DataError:  # what a bench says where there are none
        prompts = bench.prompts()
        if prompts is None:
            return {}, "none"
        return pairs_of(features, prompts.features[labels], key), "class prompts"
    owners, first = np.unique(captions.owners, return_index=True)
    return pairs_of(features[owners], captions.features[first], key), "captions"
