"""The certificate passes what the data decide, fails what they do not, and names which is which."""

import json

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin

from lpcm.disentanglers.certificate import (
    ALPHA,
    BUDGETS,
    Effort,
    bar,
    certify,
    directions,
    rotation_floor,
)
from lpcm.disentanglers.haar import haar
from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.none import Identity
from lpcm.disentanglers.pca import PCA
from lpcm.disentanglers.pca_ica import PCAThenICA
from lpcm.disentanglers.rotation import RandomRotation
from lpcm.disentanglers.spectrum import Spectrum
from lpcm.disentanglers.whiten import Whiten
from lpcm.errors import UsageError
from lpcm.keys import Key

EFFORTS = pytest.mark.parametrize("effort", ["quick", "full"])
SOURCES = {
    "laplace": lambda generator, shape: generator.laplace(size=shape),
    "uniform": lambda generator, shape: generator.uniform(-1, 1, size=shape),
    "student": lambda generator, shape: generator.standard_t(5, size=shape),
    "normal": lambda generator, shape: generator.standard_normal(shape),
}


def mixed(n, k, gaussian, draw=0, kind="laplace"):
    """Rows of k mixed sources of unit variance, of which the first few are Gaussian, and the mixing (k, k)."""
    generator = Key.of(draw).fold("certificate", n, k, gaussian, kind).generator()
    sources = SOURCES[kind](generator, (n, k))
    sources[:, :gaussian] = generator.standard_normal((n, gaussian))
    sources /= sources.std(0)
    mixing = generator.standard_normal((k, k))
    return sources @ mixing, mixing


def certificate_of(X, kind=ICA, **settings):
    return kind(**settings).fit(X).report()["certificate"]


@EFFORTS
@pytest.mark.parametrize("kind", ["laplace", "uniform", "student"])
def test_sources_that_are_not_gaussian_pass(kind, effort):
    X, _ = mixed(12_001, 17, 0, kind=kind)
    found = certificate_of(X, k=17, certificate=effort)
    assert found["identified"] >= 0.95 * 17
    assert found["between_halves"] > 0.98
    assert found["floor"] < 0.55


@EFFORTS
def test_gaussian_sources_fail_and_a_warning_says_so(effort):
    X, _ = mixed(6_001, 31, 31)
    report = ICA(k=31, max_iter=50, certificate=effort).fit(X).report()
    found = report["certificate"]
    assert found["identified"] <= 0.05 * 31
    # What finding nothing looks like: 0.404 is the mean for 31 components; halves share nothing but rotations.
    assert found["between_halves"] == pytest.approx(found["floor"], abs=0.03)
    assert "not one of k=31 components was identified" in report["warnings"][-1]


@EFFORTS
@pytest.mark.parametrize("gaussian", [8, 16])
def test_a_mixed_case_finds_the_right_components_and_their_subspace(gaussian, effort):
    X, mixing = mixed(16_001, 32, gaussian)
    made = ICA(k=32, max_iter=40, certificate=effort).fit(X)
    missing = made.report()["certificate"]["not_identified"]
    kept = np.setdiff1d(np.arange(32), missing)
    # Component times mixing: its weights on the true sources. Estimates of 16,001 rows are off by 0.05 at most.
    weights = made.components_[kept] @ mixing.T
    owners = np.abs(weights).argmax(1)
    assert len(kept) == 32 - gaussian
    assert sorted(owners) == list(range(gaussian, 32))
    turned, _ = np.linalg.qr(weights.T)
    angles = np.linalg.svd(turned[gaussian:], compute_uv=False)
    assert angles.min() > 0.98


@EFFORTS
def test_the_hardest_case_gets_through_at_the_stated_rate_at_most(effort):
    # Two Gaussian sources alone: 40 draws, both components each. They pass or fail together, so that
    # 40 independent trials at a rate of 5 % give 6 or fewer in 98 of 100 runs.
    through = 0
    for draw in range(40):
        X, _ = mixed(1_001, 2, 2, draw)
        through += certificate_of(X, k=2, max_iter=100, certificate=effort)["identified"] > 0
    assert through <= 6


def test_seeds_alone_would_have_been_fooled():
    # The reason for halves: on one sample the accident is the same whatever the start.
    X, mixing = mixed(4_001, 6, 2)
    made = ICA(k=6, max_iter=500)
    found = certify(made.fit(X), lambda state: ICA(k=6, max_iter=500, random_state=state), X)
    gaussian = np.abs(made.components_ @ mixing.T).argmax(1) < 2
    assert (found.seeds[gaussian] > 0.98).all()
    assert not found.identified[gaussian].any()


def test_principal_axes_of_equal_variance_are_not_found_again_and_others_are():
    generator = Key.of(4).generator()
    Z = generator.standard_normal((4_001, 6)) * np.array([5.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    for kind in (PCA, Whiten):
        found = certificate_of(Z @ haar(6, generator), kind, k=6, certificate="full")
        assert found["decided_by"] == "variance"
        assert found["not_identified"] == [2, 3, 4, 5]


def test_controls_identify_nothing_and_are_not_scolded(tall):
    report = RandomRotation(k=15, certificate="full").fit(tall).report()
    assert report["certificate"]["identified"] == 0
    assert report["certificate"]["between_halves"] == pytest.approx(report["certificate"]["floor"], abs=0.1)
    assert "warnings" not in report
    report = Identity(certificate="quick").fit(tall).report()
    assert report["certificate"]["identified"] == 0
    assert "nothing was estimated" in report["certificate"]["notes"][0]


def test_pca_before_ica_has_the_certificate_of_ica(tall):
    alone = certificate_of(tall, k=7, certificate="quick")
    both = certificate_of(tall, PCAThenICA, p=9, k=7, certificate="quick")
    assert both == alone


def test_the_certificate_changes_no_component(tall):
    plain, certified = (ICA(k=7, certificate=effort).fit(tall) for effort in ("none", "full"))
    assert plain.components_.tobytes() == certified.components_.tobytes()
    assert "certificate" not in plain.report()


def test_the_certificate_is_json_and_does_not_depend_on_the_order_of_rows(tall):
    first = certificate_of(tall, k=7, certificate="quick")
    second = certificate_of(tall[::-1], k=7, certificate="quick")
    assert json.loads(json.dumps(first)) == first == second


def test_a_disentangler_without_components_is_compared_by_its_outputs(tall):
    class Outputs(TransformerMixin, BaseEstimator):
        def __init__(self, inner):
            self.inner = inner

        def fit(self, X):
            self.inner.fit(X)
            return self

        def transform(self, X):
            return self.inner.transform(X)

    ours = certify(ICA(k=7).fit(tall), lambda state: ICA(k=7, random_state=state), tall)
    theirs = certify(Outputs(ICA(k=7)).fit(tall), lambda state: Outputs(ICA(k=7, random_state=state)), tall)
    # float32 outputs
    np.testing.assert_allclose(theirs.agreement, ours.agreement, atol=1e-5)


def test_directions_are_unit_vectors_whose_products_are_correlations(tall):
    made = PCA(k=5).fit(tall)
    rows = directions(made, Spectrum.of(tall))
    expected = np.corrcoef(made.transform(tall).astype(np.float64).T)
    np.testing.assert_allclose(rows @ rows.T, expected, atol=1e-5)  # float32 outputs


@pytest.mark.parametrize("k", [2, 8, 32, 256])
def test_the_floor_is_what_random_rotations_agree_to(k):
    # Means found with other draws, by dimension: 0.90, 0.64 and 0.40; 512 cosines leave 0.02 of error.
    expected = {2: 0.90, 8: 0.64, 32: 0.40, 256: 0.19}[k]
    assert rotation_floor(k) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("splits", [1, 3, 6])
def test_the_bar_is_passed_by_chance_as_often_as_it_says(splits):
    # Angles between undecided pairs, even on +-45 degrees; 3 standard deviations of 40,000 draws.
    angles = Key.of(0).fold(splits).generator().uniform(-np.pi / 4, np.pi / 4, (40_000, splits))
    passed = (np.cos(angles).min(1) >= bar(splits)).mean()
    assert passed == pytest.approx(ALPHA, abs=3 * np.sqrt(ALPHA / 40_000))


def test_one_component_has_nothing_to_be_told_apart_from(tall):
    found = certificate_of(tall, k=1, certificate="quick")
    assert (found["floor"], found["identified"]) == (1.0, 0)


def test_halves_that_cannot_be_fitted_are_a_result_with_its_reason():
    X = np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 5.0]])
    found = certificate_of(X, k=2, certificate="quick")
    assert found["identified"] == 0
    assert "1 row: expected at least 2" in found["notes"][0]


def test_a_misspelt_effort_is_refused_before_anything_is_fitted(tall):
    with pytest.raises(UsageError, match=r"'none' or 'quick' or 'full'\ndid you mean 'quick'"):
        ICA(certificate="quik").fit(tall)
    with pytest.raises(UsageError, match="needs refits"):
        certify(ICA(k=2).fit(tall), lambda state: ICA(k=2), tall, effort=Effort.NONE)


def test_full_refits_more_than_quick():
    assert BUDGETS[Effort.FULL].splits > BUDGETS[Effort.QUICK].splits
    assert BUDGETS[Effort.FULL].seeds > BUDGETS[Effort.QUICK].seeds
