"""CCA: a cache model on unmixed features, with cross-attention between prompts and shots. Nothing is trained.

Refuses to be taken for a test of unmixing: without training its logits cannot tell ICA from whitening.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lpcm.adapters.cca_model import Array, Model, Terms, fit_unmixing, parse_unmix
from lpcm.adapters.line_search import Line, best_point
from lpcm.adapters.prompts import class_vectors, unit
from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.validation import Standing, validation_rows
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

ALPHAS = tuple(float(x) for x in np.geomspace(0.1, 50, 20))
BETAS = tuple(float(x) for x in np.geomspace(0.1, 50, 200))
FUSIONS = tuple(float(x) for x in np.geomspace(1e-6, 5, 100))
"""As many points as published; the ends are the least and the largest of the published ranges of eleven datasets."""

FUSION_START = 1e-2
"""Of gamma and eta while alpha and beta are chosen: the median of the published starts, of both."""

NAMES = ("alpha", "beta", "gamma", "eta")

CHOSEN = "validation accuracy, then log-loss, then the first: alpha and beta, then gamma and eta"


class CCA:
    """Zero-shot, two cross-attention terms and a cache of unmixed shots (``lpcm.adapters.cca_model``).

    Alpha and beta are chosen first, with the attention terms in place, then gamma and eta.

    Args:
        alpha: weight of the cache; ``None`` chooses it on validation.
        beta: its sharpness; ``None`` chooses it.
        gamma: weight of the prompts' attention to the shots; ``None`` chooses it.
        eta: weight of the query's attention to the prompts; ``None`` chooses it.
        unmix: ``"whiten"``, ``"ica"`` (the same logits) or ``"none"``: what is fitted on the shots.
        k: components of it; ``None`` takes min(256, d, n // 5).

    Source: arXiv 2508.03102 and its code, without the factor 100 that its search of gamma and eta has twice.

    Example:
        >>> prompts = TextPrompts(np.eye(2, 3, dtype=np.float32), ("cat", "dog"))
        >>> X, y = np.array([[1, 0, 1], [0, 1, 1], [2, 0, 1], [0, 3, 1]], np.float32), np.array([0, 1, 0, 1])
        >>> CCA().fit(X, y, classes=2, key=Key.of(0), val=(X, y), text=prompts).logits(X).argmax(1)
        array([0, 1, 0, 1])
    """

    name = "cca"

    published = Published(
        settings_on=LooksAt.SPLIT,
        rule="alpha and beta, then gamma and eta, are those of the best accuracy on the whole validation split",
        source="released code of arXiv 2508.03102",
    )

    def __init__(
        self,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
        eta: float | None = None,
        unmix: str = "whiten",
        k: int | None = None,
    ) -> None:
        for what, value in zip(NAMES, (alpha, beta, gamma, eta), strict=True):
            if value is not None and not 0 <= value < np.inf:
                raise UsageError(f"{what} is {value}: expected a number of 0 or more")
        self.alpha, self.beta, self.gamma, self.eta = alpha, beta, gamma, eta
        self.unmix, self.k = parse_unmix(unmix), k

    @property
    def selection(self) -> str:
        """How the four weights are chosen, as the row says it."""
        return CHOSEN if self._free else "none: alpha, beta, gamma and eta are fixed"

    @property
    def _free(self) -> bool:
        return None in (self.alpha, self.beta, self.gamma, self.eta)

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        *,
        classes: int,
        key: Key,
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
        text: TextPrompts | None = None,
    ) -> CCA:
        """Fit on (n, d) features, (n,) labels in [0, c) and the prompts; ``key`` is where ICA starts.

        A class without rows has no votes, and its prompt.

        Raises:
            UsageError: when there is no text, or something is to be chosen and ``val`` is missing.
            DataError: when there are no rows, or the prompts do not fit the features.
        """
        vectors = class_vectors(text, classes=classes, width=features.shape[1], adapter=self.name)
        F = unit(features)
        unmixing, warnings = fit_unmixing(self.unmix, F, self.k, key)
        model = Model.of(F, labels, vectors, unmixing)
        self._facts: dict[str, Any] = {"unmix": self.unmix.value, "k": model.keys.shape[1]}
        if warnings:
            self._facts["warnings"] = list(warnings)
        self._settle(self._trained(model, F, labels, val, key), val)
        return self

    def _trained(
        self,
        model: Model,
        F: Array,
        labels: NDArray[np.int64],
        val: tuple[NDArray[np.float32], NDArray[np.int64]] | None,
        key: Key,
    ) -> Model:
        """The model as it is: what is trained is a matter of cca-ft."""
        return model

    def _settle(self, model: Model, val: tuple[NDArray[np.float32], NDArray[np.int64]] | None) -> None:
        """Choose the weights on validation rows."""
        self._model = model
        fixed = (self.alpha, self.beta, self.gamma, self.eta)
        if self._free:
            rows, truth = validation_rows(
                val,
                adapter=self.name,
                chosen="alpha, beta, gamma and eta",
                instead=f"{self.name}.alpha=1 (and beta, gamma, eta)",
            )
            self._weights, stands = choose_weights(model, model.terms(rows), truth, fixed)
            self._facts.update(val_accuracy=stands.accuracy, val_log_loss=stands.log_loss)
            grids = (ALPHAS, BETAS, FUSIONS, FUSIONS)
            ends = zip(NAMES, self._weights, fixed, grids, strict=True)
            self._facts["at_edge"] = [
                name for name, w, given, grid in ends if given is None and w in (grid[0], grid[-1])
            ]
        else:
            self._weights = tuple(float(value or 0.0) for value in fixed)
        self._facts.update(zip(NAMES, self._weights, strict=True))

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of each class, (q, d) -> (q, c)."""
        alpha, beta, gamma, eta = self._weights
        terms = self._model.terms(features)
        return _fused(terms, gamma, eta) + alpha * self._model.votes(terms.distances, beta)

    def report(self) -> Mapping[str, Any]:
        """Tell the four weights, which of them end their grid, the unmixing, and how validation chose."""
        return dict(self._facts)


def choose_weights(
    model: Model,
    terms: Terms,
    truth: NDArray[np.int64],
    fixed: tuple[float | None, float | None, float | None, float | None],
) -> tuple[tuple[float, ...], Standing]:
    """Choose what is ``None`` of (alpha, beta, gamma, eta): the cache's pair first, then the attentions' pair.

    Every term is computed once: a line of alpha costs one exponential of the distances, a line of eta none.
    """
    alpha, beta, gamma, eta = fixed
    start = _fused(terms, FUSION_START if gamma is None else gamma, FUSION_START if eta is None else eta)

    def line_of_alpha(at: float) -> Line:
        return start, model.votes(terms.distances, at)

    cache = best_point(line_of_alpha, _grid(beta, BETAS), _grid(alpha, ALPHAS), truth)
    base = terms.zero_shot + cache.inner * model.votes(terms.distances, cache.outer)

    def line_of_eta(at: float) -> Line:
        return base + at * terms.from_shots, terms.from_text

    fusion = best_point(line_of_eta, _grid(gamma, FUSIONS), _grid(eta, FUSIONS), truth)
    return (cache.inner, cache.outer, fusion.outer, fusion.inner), fusion.standing


def _grid(fixed: float | None, grid: tuple[float, ...]) -> tuple[float, ...]:
    return grid if fixed is None else (fixed,)


def _fused(terms: Terms, gamma: float, eta: float) -> Array:
    fused: Array = terms.zero_shot + gamma * terms.from_shots + eta * terms.from_text
    return fused
