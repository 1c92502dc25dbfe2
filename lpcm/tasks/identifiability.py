"""The identifiability task: two encoders are trained on pairs from known latents and scored against those latents.

Refuses to read anything from a latent while it trains; and to show a score without its floors, what the theory
promises of the row, and what the same encoder scores untrained and supervised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from lpcm.errors import UsageError, nearest
from lpcm.geometries.extents import Extent
from lpcm.plugin.contracts import Geometry, Laboratory, Metric
from lpcm.plugin.truth import Finding, Score
from lpcm.theory.generative import GenerativeModel, Pairs
from lpcm.theory.judging import Judged, judge, value_of
from lpcm.theory.published import NORMAL_LATENT, is_normal, promise, reported, theorem_metric
from lpcm.theory.recipe import Recipe, preset
from lpcm.theory.supervised import supervised
from lpcm.theory.training import Temperature, Trained, train
from lpcm.theory.unconfined import Unconfined

DEFAULT_GEOMETRY = "sphere"
_SWEPT = ("codes", "temperature", "misaligned", "dependence")
_HEADS = ("space", "free")
_SELECTION = "settings are the preset's; of the turns the one of lowest loss; no latent is looked at"


class Identifiability:
    """Latents recovered by contrastive learning, over geometry x laws x metric x settings x seed.

    Args:
        preset: how long and how: ``quick``, ``full`` or ``paper``, see ``lpcm.theory.recipe``.
        dim: d, width of the coupled latents.
        m: width of the latents of one side only. 5, as in Daunhawer et al. 2023: half as many as are shared.
        codes: widths of what the encoders give; 0 is d.
        temperature: ``learned``, or factors on the scale that the theory asks for.
        misaligned: shares of pairs whose text belongs to another image.
        dependence: correlations of the latents' normal copula.
        head: ``space`` confines codes to the geometry, ``free`` lets them be anywhere in R^d.
        condition: of each layer of the mixings.
        layers: of the mixings.
        steps, batch: instead of the preset's.
        baselines: whether an encoder is trained on the latents themselves, for a ceiling.

    ``codes``, ``temperature``, ``misaligned`` and ``dependence`` become columns where there are several values.

    Source: arXiv 2402.06223, section 5.1 and table 1; protocol of Zimmermann et al. 2021, arXiv 2102.08850.
    """

    def __init__(
        self,
        *,
        preset: str = "full",
        dim: int = 10,
        m: int = 5,
        codes: Any = 0,
        temperature: Any = "learned",
        misaligned: Any = 0.0,
        dependence: Any = 0.0,
        head: str = "space",
        condition: float = 3.0,
        layers: int = 3,
        steps: int | None = None,
        batch: int | None = None,
        baselines: bool = True,
    ) -> None:
        if dim < 1:
            raise UsageError(f"identifiability.dim is {dim}: expected 1 or more latents")
        self._dim, self._m, self._condition, self._layers = dim, m, condition, layers
        self._preset, self._baselines = preset, baselines
        if head not in _HEADS:
            raise UsageError(
                f"identifiability.head is {head!r}: expected {' or '.join(_HEADS)}", nearest(head, _HEADS)
            )
        self._head = head
        self._changes = {"steps": steps, "batch": batch}
        self._recipe(signal=1.0)  # numbers that cannot be are refused before anything runs
        given = {
            "codes": codes,
            "temperature": temperature,
            "misaligned": misaligned,
            "dependence": dependence,
        }
        self._swept = {name: _several(name, value) for name, value in given.items()}

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """One cell a geometry, law and metric that the study names, swept setting and seed."""
        named: dict[str, Sequence[Any]] = {"geometry": axes.get("geometry") or (DEFAULT_GEOMETRY,)}
        named |= {name: axes[name] for name in ("marginal", "conditional", "metric") if axes.get(name)}
        named |= {name: values for name, values in self._swept.items() if len(values) > 1}
        named["seed"] = axes["seed"]
        for point in product(*named.values()):
            yield dict(zip(named, point, strict=True))

    def simulate(self, laboratory: Laboratory, axes: Mapping[str, Any]) -> Finding:
        """Draw a model, train, and score both sides on fresh pairs."""
        swept = {name: axes.get(name, self._swept[name][0]) for name in _SWEPT}
        laws = {name: axes[name] for name in ("marginal", "conditional") if name in axes}
        truth = laboratory.geometry(self._dim, **laws)
        width = swept["codes"] or self._dim
        space = truth if width == self._dim else laboratory.geometry(width, **laws)
        if self._head == "free":
            space = Unconfined(space)
        temperature = Temperature.parse(swept["temperature"], truth)
        model = GenerativeModel.make(
            laboratory.key.fold("model"),
            truth,
            m=self._m,
            layers=self._layers,
            condition=self._condition,
            dependence=float(swept["dependence"]),
            misaligned=float(swept["misaligned"]),
        )
        recipe = self._recipe(model.signal)
        name = str(axes.get("metric", theorem_metric(truth)))
        metric = laboratory.metric(name)
        test = model.draw(laboratory.key.fold("test"), recipe.test)
        trained = train(
            model,
            space,
            recipe,
            temperature,
            laboratory.key.fold("train"),
            laboratory.workspace,
            score=lambda encoder: value_of(metric, test.z_x, encoder.encode(test.x)),
            progress=laboratory.progress,
        )
        return self._finding(laboratory, truth, recipe, name, metric, model, test, trained, swept)

    def _recipe(self, signal: float) -> Recipe:
        return preset(self._preset, self._dim, self._changes, signal)

    def _is_bent(self, swept: Mapping[str, Any]) -> bool:
        """Whether a setting leaves what the paper's table speaks of."""
        return (
            bool(swept["codes"] or swept["misaligned"] or swept["dependence"])
            or self._head != _HEADS[0]
            or swept["temperature"] not in ("learned", 1, "1")
        )

    def _finding(
        self,
        laboratory: Laboratory,
        truth: Geometry,
        recipe: Recipe,
        name: str,
        metric: Metric,
        model: GenerativeModel,
        test: Pairs,
        trained: Trained,
        swept: Mapping[str, Any],
    ) -> Finding:
        key = laboratory.key.fold("judge")
        codes = {"image": trained.image.encode(test.x), "text": trained.text.encode(test.t)}
        truths = {"image": test.z_x, "text": test.z_t}
        sides = {side: judge(metric, truths[side], codes[side], key) for side in codes}
        null = {what: _mean(sides, what) for what in ("permutation", "rotation")}
        null["identity"] = value_of(metric, test.z_x, test.x)
        ceiling = {}
        if self._baselines:
            shown = supervised(model, recipe, laboratory.key.fold("supervised"))
            ceiling["supervised"] = value_of(metric, test.z_x, shown.encode(test.x))
        r2 = laboratory.metric("r2")
        details: dict[str, Any] = {
            side: {"value": judged.value, "per_latent": judged.per_latent} for side, judged in sides.items()
        }
        details["other"] = {
            other: value_of(laboratory.metric(other), test.z_x, codes["image"])
            for other in ("r2", "mcc")
            if other != name
        }
        # Whether the codes hold anything besides the latents; low where there are more codes than latents.
        details["codes_from_latents"] = value_of(r2, codes["image"], test.z_x)
        if self._m:
            details["own_latents_from_codes"] = {
                "image": value_of(r2, test.m_x, codes["image"]),
                "text": value_of(r2, test.m_t, codes["text"]),
            }
        if (known := reported(truth, name)) is not None and not self._is_bent(swept):
            details["paper"] = {"low": known.low, "high": known.high, "said": known.said}
        score = Score(
            metric=name,
            value=float(np.mean([judged.value for judged in sides.values()])),
            draws=np.mean([judged.draws for judged in sides.values()], axis=0),
            null=null,
            ceiling=ceiling,
            details=details,
        )
        return Finding(
            score=score,
            n=len(test.x),
            facts=self._facts(truth, recipe, trained, model, swept),
            selection=_SELECTION,
            warnings=_warnings(truth, trained, self._is_bent(swept)),
        )

    def _facts(
        self,
        truth: Geometry,
        recipe: Recipe,
        trained: Trained,
        model: GenerativeModel,
        swept: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        return {
            "promise": promise(truth),
            "identifies": truth.identifies,
            "similarity": truth.similarity,
            "laws": {what: str(getattr(truth, what, "")) for what in ("marginal", "conditional")},
            "dim": self._dim,
            "m": self._m,
            **swept,
            "head": self._head,
            "preset": self._preset,
            "steps": recipe.steps,
            "batch": recipe.batch,
            "signal": round(model.signal, 4),
            "mixing": {"layers": self._layers, "condition": self._condition},
            "scale": {"end": trained.scale, "theory": getattr(truth, "matched_scale", None)},
            "turns": list(trained.turns),
            "curve": [
                {
                    "phase": p.phase,
                    "step": p.step,
                    "loss": p.loss,
                    "scale": p.scale,
                    "score": _number(p.score),
                }
                for p in trained.curve
            ],
            "loss": trained.curve[-1].loss if trained.curve else None,
        }


def _several(name: str, value: Any) -> tuple[Any, ...]:
    """One value or several, each once, checked as far as can be without a geometry."""
    if isinstance(value, str):
        value = value.split(",")
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    values = tuple(dict.fromkeys(v.strip() if isinstance(v, str) else v for v in given))
    if not values:
        raise UsageError(f"identifiability.{name} is empty: expected one value or more")
    if name == "temperature":
        return values
    kind = int if name == "codes" else float
    for one in values:
        if isinstance(one, bool) or not isinstance(one, int | float) or kind(one) != one or one < 0:
            expected = "whole numbers of 0 or more" if name == "codes" else "numbers of 0 or more"
            raise UsageError(f"identifiability.{name} is {one!r}: expected {expected}")
    return values


def _warnings(truth: Geometry, trained: Trained, bent: bool) -> tuple[str, ...]:
    said = []
    if truth.identifies == "nothing":
        said.append("no theorem covers this row: an assumption is violated on purpose")
    if is_normal(truth):
        said.append(NORMAL_LATENT)
    if bent:
        said.append(
            "a setting leaves the assumptions of the theorem: codes, temperature, misaligned, dependence or head"
        )
    matched = getattr(truth, "matched_scale", None)
    fixed = getattr(truth, "extent", None) == Extent.FIXED  # where it is learnt, scale and extent trade
    if fixed and matched and truth.identifies == "orthogonal" and not 0.5 < trained.scale / matched < 2:
        said.append(
            f"the scale ended at {trained.scale:.3g}, the theory's is {matched:.3g}: training is not at its end"
        )
    return tuple(said)


def _mean(sides: Mapping[str, Judged], what: str) -> float:
    return float(np.mean([judged.null[what] for judged in sides.values()]))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
