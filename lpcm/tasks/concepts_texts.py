"""The texts nearest to each end of a component, and whether they stand out. Refuses to name what does not.

Texts are seen through the map of the images. Both sit in cones of their own (the modality gap: Liang et al. 2022,
"Mind the gap"), so the mean of the texts is taken off where the images' mean is taken off images:

    s_ij = w_i . (t_j - mean t),    |t_j| = 1,

then s_i is divided by its standard deviation over all texts. A vocabulary of a thousand words always has a word
three deviations out. Whether that is more than chance is asked of random unit mixtures of the same components:
the p-value of an end is the share of mixtures whose own nearest text lies as far out, and the ends that stand out
are chosen at a false discovery rate of 5 % (Benjamini and Hochberg 1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from lpcm.keys import Key
from lpcm.tasks.concepts_vocabulary import Words

NEAREST = 5
"""Texts listed at each end."""

MIXTURES = 4999
"""Random mixtures behind the p-values; the least of them is then 0.0002."""

PERMUTATIONS = 1999
RATE = 0.05
FEWEST_CLASSES = 5
"""Classes below which a correlation over class names says nothing."""

_CHUNK = 500  # mixtures whose scores exist at once


@dataclass(frozen=True)
class NearText:
    """A text at an end of a component.

    Args:
        text: the word.
        source: where it is from.
        score: standard deviations of the vocabulary's scores from their mean, towards that end.
    """

    text: str
    source: str
    score: float


@dataclass(frozen=True, eq=False)
class Naming:
    """Texts of k components.

    Args:
        upper, lower: for each component its nearest texts at that end, nearest first.
        upper_p, lower_p: (k,) chance of a nearest text that far out.
        upper_out, lower_out: (k,) whether it stands out.
        agreement: (k,) correlation over classes of mean value and class name's score; NaN where there are too few.
        agreement_p: (k,) share of permuted class names that correlate as much, in size.
        words: how many texts there were from each place.
        chance: median over mixtures of the nearest text's score.
    """

    upper: tuple[tuple[NearText, ...], ...]
    lower: tuple[tuple[NearText, ...], ...]
    upper_p: NDArray[np.float64]
    lower_p: NDArray[np.float64]
    upper_out: NDArray[np.bool_]
    lower_out: NDArray[np.bool_]
    agreement: NDArray[np.float64]
    agreement_p: NDArray[np.float64]
    words: dict[str, int]
    chance: float

    def of(self, place: int) -> dict[str, Any]:
        """What is known of one component."""
        known = bool(np.isfinite(self.agreement[place]))
        return {
            "upper_texts": [_told(near) for near in self.upper[place]],
            "upper_text_p": float(self.upper_p[place]),
            "upper_text_stands_out": bool(self.upper_out[place]),
            "lower_texts": [_told(near) for near in self.lower[place]],
            "lower_text_p": float(self.lower_p[place]),
            "lower_text_stands_out": bool(self.lower_out[place]),
            "text_image_correlation": float(self.agreement[place]) if known else None,
            "text_image_correlation_p": float(self.agreement_p[place]) if known else None,
        }

    def facts(self) -> dict[str, Any]:
        """What the row says."""
        known = self.agreement[np.isfinite(self.agreement)]
        return {
            "words": dict(self.words),
            "upper_ends_that_stand_out": int(self.upper_out.sum()),
            "lower_ends_that_stand_out": int(self.lower_out.sum()),
            "nearest_score_median": float(np.median([near[0].score for near in self.upper])),
            "nearest_score_of_mixtures": self.chance,
            "false_discovery_rate": RATE,
            "text_image_correlation_median": float(np.median(known)) if len(known) else None,
        }


def name_components(
    directions: NDArray[np.float64],
    groups: Sequence[tuple[Sequence[Words], NDArray[np.floating]]],
    class_values: NDArray[np.float64],
    key: Key,
) -> Naming:
    """Find the texts nearest to both ends of each component.

    Args:
        directions: (k, d) float64, what an image's centred features are multiplied by.
        groups: words that came through the same templates, with their (m, d) features; the first group are the
            classes.
        class_values: (k, c) mean value of each class's images; NaN for a class without any.
        key: decides mixtures and permutations.
    """
    places = [part for parts, _ in groups for part in parts]
    words = [(word, part.source) for part in places for word in part.words]
    centred = np.concatenate([_centred(features) for _, features in groups])
    raw = directions @ centred.T
    scores = _standardised(raw)
    highest = _mixtures(raw, key.fold("mixtures"))
    upper_p, lower_p = (_share_above(highest, end.max(1)) for end in (scores, -scores))
    p = np.concatenate([upper_p, lower_p])
    out = false_discovery_control(p) <= RATE
    k = len(directions)
    classes = scores[:, : len(groups[0][1])]
    agreement, agreement_p = _agreement(class_values, classes, key.fold("permutations"))
    return Naming(
        tuple(_nearest(row, words) for row in scores),
        tuple(_nearest(-row, words) for row in scores),
        upper_p,
        lower_p,
        out[:k],
        out[k:],
        agreement,
        agreement_p,
        {part.source: len(part.words) for part in places},
        float(np.median(highest)),
    )


def _centred(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Unit rows without their mean: each group came through a template of its own, which is no concept."""
    rows = features.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    centred: NDArray[np.float64] = rows - rows.mean(0)
    return centred


def _standardised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = scores.std(1, keepdims=True)
    rows: NDArray[np.float64] = np.divide(
        scores - scores.mean(1, keepdims=True), spread, out=np.zeros_like(scores), where=spread > 0
    )
    return rows


def _mixtures(raw: NDArray[np.float64], key: Key) -> NDArray[np.float64]:
    """Sorted scores of the nearest texts of random unit mixtures of the components."""
    generator = key.generator()
    found = []
    for start in range(0, MIXTURES, _CHUNK):
        weights = generator.standard_normal((min(_CHUNK, MIXTURES - start), len(raw)))
        found.append(_standardised(weights @ raw).max(1))
    return np.sort(np.concatenate(found))


def _share_above(drawn: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    # A mixture of one component is the component: rounding must not put it below itself.
    above = len(drawn) - np.searchsorted(drawn, found - 1e-9, side="left")
    share: NDArray[np.float64] = (1 + above) / (1 + len(drawn))
    return share


def _nearest(scores: NDArray[np.float64], words: Sequence[tuple[str, str]]) -> tuple[NearText, ...]:
    order = np.argsort(-scores, kind="stable")[:NEAREST]
    return tuple(NearText(words[place][0], words[place][1], float(scores[place])) for place in order)


def _agreement(
    values: NDArray[np.float64], scores: NDArray[np.float64], key: Key
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlate class means with class names, and with permuted ones."""
    known = np.flatnonzero(np.isfinite(values).all(0))
    if len(known) < FEWEST_CLASSES:
        nothing = np.full(len(values), np.nan)
        return nothing, nothing.copy()
    images, texts = (_standardised(side[:, known]) / np.sqrt(len(known)) for side in (values, scores))
    own = np.einsum("kc,kc->k", images, texts)
    generator = key.generator()
    as_much = np.zeros(len(values))
    for _ in range(PERMUTATIONS):
        permuted = np.einsum("kc,kc->k", images, texts[:, generator.permutation(len(known))])
        as_much += np.abs(permuted) >= np.abs(own) - 1e-12
    return own, (1 + as_much) / (1 + PERMUTATIONS)


def _told(near: NearText) -> dict[str, Any]:
    return {"text": near.text, "source": near.source, "score": round(near.score, 4)}
