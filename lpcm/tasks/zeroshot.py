"""The zero-shot task: each image gets the class whose prompts are nearest. Refuses to fit on a label.

Labels of the validation split are used for one number, the scale that turns cosines into probabilities; it changes
no prediction. Reported with it: top-5, accuracy of each class, what is confused with what, and calibration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from lpcm.errors import DataError, UsageError, nearest
from lpcm.metrics.calibration import LARGEST_SCALE, SMALLEST_SCALE, calibration, checked, credit, fit_scale
from lpcm.plugin.contracts import Bench, TextPrompts
from lpcm.plugin.truth import Score
from lpcm.tasks.shared_space import SharedSpace, centre_of, one_of, seeds_of, shared_space
from lpcm.tasks.threads import blas_threads

PROMPTS: Mapping[str, tuple[str, ...] | None] = {
    "ensemble": None,  # the dataset's own templates
    "single": ("a photo of a {}.",),
    "name": ("{}",),
}
"""What a class is asked by: its prompts' unit vectors are averaged, and the mean scaled to length 1."""

SEEDS = (0, 1, 2, 3, 4)

STATED_SCALE = 100.0
"""Of cosines, without a validation split: the largest that CLIP's training allows (Radford et al. 2021, 2.5)."""

_CONFUSIONS = 10
_DIGITS = 4  # of a fitted scale: what validation can tell, and the same on every machine


class Similarity(str, Enum):
    """How unit rows of images and class vectors are compared."""

    COSINE = "cosine"  # does not change under a rotation of the components: ica, whiten and rotation agree
    L1 = "l1"  # minus the L1 distance of rows of L1 norm 1, after the paper's convex body: the axes matter


class ZeroShotTask:
    """Zero-shot classification over prompts x disentangler x seed.

    Args:
        prompts: one or several of ``"ensemble"``, ``"single"``, ``"name"``, or a template of your own with one
            ``{}``; each is a cell.
        similarity: ``"cosine"`` or ``"l1"``.
        centre: which mean is taken off the texts before a disentangler maps them, see ``lpcm.tasks.shared_space``.

    Raises:
        UsageError: for prompts that are neither a name nor a template, or another similarity.

    Source: Radford et al. 2021, section 3.1.4 (ensembles over templates, averaged in feature space); arXiv
    2402.06223, section 4.2, for L1.
    """

    def __init__(
        self,
        *,
        prompts: Sequence[str] | str = ("ensemble", "single", "name"),
        similarity: str = Similarity.COSINE.value,
        centre: str = "fitted",
    ) -> None:
        self.prompts = _prompts(prompts)
        self.similarity = Similarity(one_of("similarity", similarity, [each.value for each in Similarity]))
        self.centre = centre_of(centre)

    def cells(self, axes: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
        """The product; a disentangler that draws nothing has one seed."""
        for encoder in axes["encoder"]:
            for dataset in axes["dataset"]:
                for disentangler in axes.get("disentangler") or ("none",):
                    for prompts in self.prompts:
                        for seed in seeds_of(disentangler, axes.get("seed") or SEEDS):
                            yield {
                                "encoder": encoder,
                                "dataset": dataset,
                                "disentangler": disentangler,
                                "prompts": prompts,
                                "seed": seed,
                            }

    def fit(self, bench: Bench, axes: Mapping[str, Any]) -> FittedZeroShot:
        """Encode the prompts, fit the disentangler on unlabelled images, and the scale on validation.

        Raises:
            UsageError: when the encoder reads no text.
            DataError: when features are not finite or not of one width, or a disentangler has nothing to fit on.
        """
        if len(bench.classes) < 2:
            raise DataError(
                f"the dataset has {len(bench.classes)} class: zeroshot needs two or more to choose from",
                "its captions or factors may serve another task: retrieval or disentanglement",
            )
        asked = str(axes["prompts"])
        prompts = bench.prompts(PROMPTS.get(asked, (asked,)))
        if prompts is None:
            raise UsageError(
                "zeroshot compares images with texts, and this encoder reads no text",
                "choose one that reads both: lpcm-eval ls encoders",
            )
        space = shared_space(bench, str(axes["disentangler"]), self.centre, prompts.features)
        vectors = _Vectors.of(space.texts(prompts.features), bench.allowed, self.similarity)
        scale, chosen = (STATED_SCALE if self.similarity is Similarity.COSINE else 1.0), "stated"
        warnings = [*space.warnings, *_same_names(bench.classes), *_same_vectors(vectors, prompts)]
        val = bench.block("val") if "val" in bench.splits() else None
        # A class that the test side cannot hold has no probability, so its samples say nothing of the scale.
        rows = np.zeros(0, np.intp) if val is None else np.flatnonzero(vectors.allowed[val.labels])
        if val is not None and len(rows):
            similarities = vectors.compared(space.images(val.features[rows]))
            scale = float(f"{fit_scale(similarities, val.labels[rows]):.{_DIGITS}g}")
            chosen = "validation NLL"
            if scale in (SMALLEST_SCALE, LARGEST_SCALE):
                warnings.append(f"validation asks for a scale beyond {scale:g}, where the search ends")
        facts = {
            **space.facts,
            "similarity": f"{self.similarity.value} of {space.facts['of']}",
            "prompts": asked,
            "templates": "the dataset's"
            if PROMPTS.get(asked, ()) is None
            else list(PROMPTS.get(asked) or (asked,)),
            "scale": scale,
            "scale_from": chosen,
            "classes": len(bench.classes) if bench.allowed is None else len(bench.allowed),
        }
        selection = "none: nothing is chosen" if chosen == "stated" else "scale of the logits: validation NLL"
        return FittedZeroShot(space, vectors, scale, bench.classes, facts, selection, tuple(warnings))

    def score(self, predictions: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> Score:
        """Accuracy of (n, c) logits that are taken as they are; a fitted cell also knows its class names."""
        return _score(predictions, labels, tuple(map(str, range(classes))), 1.0, "as given", self.similarity)


@dataclass(frozen=True, eq=False)
class FittedZeroShot:
    """A fitted cell: class vectors, the space they are in, and the scale."""

    _space: SharedSpace
    _vectors: _Vectors
    _scale: float
    _classes: tuple[str, ...]
    facts: Mapping[str, Any]
    selection: str
    warnings: Sequence[str]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits, the scale times the similarity, (n, d) -> (n, c); -inf for a class that cannot be."""
        return self._scale * self._vectors.compared(self._space.images(features))

    def score(self, predictions: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> Score:
        """Accuracy with its details, by the names of the classes."""
        how = self._scale, str(self.facts["scale_from"]), self._vectors.similarity
        return _score(predictions, labels, self._classes, *how)


@dataclass(frozen=True, eq=False)
class _Vectors:
    """Distinct class vectors: classes with equal prompts have equal scores, to the last bit.

    Args:
        distinct: (u, k) float64.
        of_class: (c,) row of each class.
        allowed: (c,) whether the class can be.
        similarity: how rows are compared with them.
    """

    distinct: NDArray[np.float64]
    of_class: NDArray[np.intp]
    allowed: NDArray[np.bool_]
    similarity: Similarity

    @classmethod
    def of(
        cls, vectors: NDArray[np.float32], allowed: tuple[int, ...] | None, similarity: Similarity
    ) -> _Vectors:
        distinct, of_class = np.unique(vectors, axis=0, return_inverse=True)
        can_be = np.ones(len(vectors), bool)
        if allowed is not None:
            can_be[:] = False
            can_be[list(allowed)] = True
        return cls(distinct.astype(np.float64), of_class.reshape(-1), can_be, similarity)

    def compared(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, k) unit rows to (n, c) similarities; -inf for a class that cannot be."""
        if images.shape[1] != self.distinct.shape[1]:
            raise DataError(
                f"image features have width {images.shape[1]} and text features {self.distinct.shape[1]}:"
                " zeroshot needs both in one space"
            )
        found: NDArray[np.float64]
        if self.similarity is Similarity.L1:
            found = -cdist(_unit_l1(images), _unit_l1(self.distinct), "cityblock")
        else:
            with threadpool_limits(blas_threads(images.size * len(self.distinct)), user_api="blas"):
                found = images.astype(np.float64) @ self.distinct.T
        return np.where(self.allowed, found[:, self.of_class], -np.inf)


def _unit_l1(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    # At unit Euclidean norm the class vectors of least L1 norm would be nearest to every image.
    unit: NDArray[np.float64] = rows / np.maximum(np.abs(rows).sum(axis=1, dtype=np.float64), 1e-12)[:, None]
    return unit


def _score(
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    names: tuple[str, ...],
    scale: float,
    chosen: str,
    similarity: Similarity,
) -> Score:
    logits = checked(logits, labels)
    classes = int(np.isfinite(logits).any(axis=0).sum())
    right = credit(logits, labels, 1)
    sizes = np.bincount(labels, minlength=len(names))
    recalls = np.bincount(labels, weights=right, minlength=len(names)) / np.maximum(sizes, 1)
    present = np.flatnonzero(sizes)
    details: dict[str, Any] = {
        "mean_class_accuracy": float(recalls[present].mean()),
        "class_accuracy": [[names[i], int(sizes[i]), float(recalls[i])] for i in present],
        "confusions": _confusions(logits, labels, names),
        "calibration": {"scale": scale, "scale_from": chosen, **asdict(calibration(logits, labels))},
    }
    if classes > 5:
        details["top5"] = float(credit(logits, labels, 5).mean())
    if chosen == "validation NLL" and similarity is Similarity.COSINE:
        stated = logits * (STATED_SCALE / scale)
        details["calibration_stated"] = {"scale": STATED_SCALE, **asdict(calibration(stated, labels))}
    return Score(
        metric="accuracy",
        value=float(right.mean()),
        outcomes=right,
        null={"chance": 1.0 / classes, "majority": float(sizes.max() / len(labels))},
        details=details,
    )


def _confusions(
    logits: NDArray[np.float64], labels: NDArray[np.int64], names: tuple[str, ...]
) -> list[list[Any]]:
    """The commonest errors as [true class, predicted class, count]."""
    predicted = logits.argmax(axis=1)
    wrong = predicted != labels
    pairs = Counter(zip(labels[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    commonest = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_CONFUSIONS]
    return [[names[true], names[taken], count] for (true, taken), count in commonest]


def _same_names(classes: Sequence[str]) -> list[str]:
    names = [name for name, count in Counter(classes).items() if count > 1]
    if not names:
        return []
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return [
        f"several classes are called {', '.join(map(repr, names[:5]))}{more}: no prompt can tell them apart,"
        " so they share what they get right"
    ]


def _same_vectors(vectors: _Vectors, prompts: TextPrompts) -> list[str]:
    """Classes of different names whose vectors are equal all the same, for example by truncation."""
    first: dict[int, str] = {}
    pairs = []
    for row, name in zip(vectors.of_class.tolist(), prompts.classes, strict=True):
        if first.setdefault(row, name) != name:
            pairs.append(f"{first[row]!r} and {name!r}")
    if not pairs:
        return []
    return [f"the encoder gives the same vector to {pairs[0]} ({len(pairs)} such): their scores are tied"]


def _prompts(value: Sequence[str] | str) -> tuple[str, ...]:
    if isinstance(value, str):
        # A template may hold commas, names cannot.
        value = (value,) if "{" in value else [part.strip() for part in value.split(",")]
    asked = tuple(dict.fromkeys(value))
    for each in asked or ("",):
        if each not in PROMPTS and (
            not isinstance(each, str) or each.count("{}") != 1 or each.count("{") != 1 or each.count("}") != 1
        ):
            raise UsageError(
                f"prompts is {each!r}: expected {', '.join(PROMPTS)}, or a template with one {{}}",
                nearest(str(each), PROMPTS) or "for example --set 'zeroshot.prompts=a sketch of a {}.'",
            )
    return asked
