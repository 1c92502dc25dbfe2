"""What the linear disentanglers share: centre, map, count. Refuses to transform before it was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone

from lpcm.disentanglers.certificate import Decider, Effort, certify, effort_of
from lpcm.disentanglers.spectrum import Spectrum, checked
from lpcm.errors import DataError, UsageError

EXCESS = ("refuse", "cap")


class LinearDisentangler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """``transform(X) = (X - mean_) @ components_.T``; subclasses say what the components are.

    Attributes:
        mean_: (d,) float64 mean of the rows it was fitted on.
        components_: (k, d) float64 linear map.
        n_features_in_: width d of the rows.
        facts_: what ``report`` says.
        certificate: how much is refitted for the certificate; a setting of those that have one.
        decider: what decides the components.
    """

    certificate: str = Effort.NONE.value
    decider: Decider = Decider.NOTHING
    mean_: NDArray[np.float64]
    components_: NDArray[np.float64]
    n_features_in_: int
    facts_: dict[str, Any]
    random_state: int

    def fit(self, X: NDArray[np.floating], y: object = None) -> LinearDisentangler:
        """Fit on (n, d) features; labels are not looked at.

        Raises:
            DataError: when features are not finite or nothing varies.
            UsageError: when more components are asked for than the rows hold.
        """
        effort = effort_of(self.certificate)  # a misspelt one ends before the work begins
        return self._fit(Spectrum.of(X), effort)

    def _fit(self, spectrum: Spectrum, effort: Effort) -> LinearDisentangler:
        n, d = spectrum.rows.shape
        self.n_features_in_ = d
        self.mean_ = spectrum.mean
        self.facts_ = {"n": n, "d": d, "rank": spectrum.rank, "constant_features": spectrum.constant}
        self.facts_["rank_deficient"] = spectrum.rank < min(n - 1, d)
        self.components_ = self._solve(spectrum)
        self.facts_["k"] = len(self.components_)
        if effort is not Effort.NONE:
            self._certify(spectrum, effort)
        return self

    def _certify(self, spectrum: Spectrum, effort: Effort) -> None:
        fixed = {"k": len(self.components_), "excess": "cap", "certificate": Effort.NONE.value}
        certificate = certify(
            self,
            lambda state: clone(self).set_params(**fixed, random_state=state),
            spectrum,
            effort=effort,
            decider=self.decider,
            random_state=self.random_state,
        )
        self.facts_["certificate"] = certificate.report()
        if certificate.warnings():
            self.facts_.setdefault("warnings", []).extend(certificate.warnings())

    def _solve(self, spectrum: Spectrum) -> NDArray[np.float64]:
        """Make the (k, d) components; may add to ``facts_``."""
        raise NotImplementedError

    def _note(self, notes: list[str]) -> None:
        if notes:
            self.facts_.setdefault("notes", []).extend(notes)

    def transform(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, d) features to (n, k) components, float32.

        Raises:
            UsageError: when it was not fitted.
            DataError: when the width is not that of the fit, or a value is not finite.
        """
        self._need_fit()
        X = self._matching(X)
        components: NDArray[np.float32] = ((X - self.mean_) @ self.components_.T).astype(np.float32)
        return components

    def inverse_transform(self, S: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, k) components back to the (n, d) features nearest to them: the least-squares inverse."""
        self._need_fit()
        features: NDArray[np.float32] = (S @ np.linalg.pinv(self.components_).T + self.mean_).astype(
            np.float32
        )
        return features

    def report(self) -> Mapping[str, Any]:
        """Tell the row of the fit: n, d, k, rank, whitening and what the method adds, as JSON values."""
        self._need_fit()
        return dict(self.facts_)

    def _need_fit(self) -> None:
        if not hasattr(self, "components_"):
            raise UsageError(f"{type(self).__name__} was not fitted yet", "call fit(X) first")

    def _matching(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        X = checked(X)
        if X.shape[1] != self.n_features_in_:
            raise DataError(
                f"features have width {X.shape[1]}: expected {self.n_features_in_},"
                f" as {type(self).__name__} was fitted on"
            )
        return X


def capping(excess: str) -> bool:
    """Whether components above the rank are cut instead of refused.

    Raises:
        UsageError: when ``excess`` is neither ``"refuse"`` nor ``"cap"``.
    """
    if excess not in EXCESS:
        raise UsageError(f"excess is {excess!r}: expected 'refuse' or 'cap'")
    return excess == "cap"
