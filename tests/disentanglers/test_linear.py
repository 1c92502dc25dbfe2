"""What every disentangler promises, and what each of them is equal to."""

import importlib
import json
import warnings

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn import decomposition
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from lpcm.disentanglers.haar import haar
from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.none import Identity
from lpcm.disentanglers.pca import PCA
from lpcm.disentanglers.pca_ica import PCAThenICA
from lpcm.disentanglers.records import RECORDS
from lpcm.disentanglers.rotation import RandomRotation
from lpcm.disentanglers.whiten import Whiten
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key

ALL = [Identity, PCA, Whiten, RandomRotation, ICA, PCAThenICA]
WITH_K = ALL[1:]
WHITENING = ALL[2:]


def covariance(X):
    X = X.astype(np.float64)
    return np.cov(X.T, bias=True)


def matched(first, second):
    """Mean |correlation| of the best one-to-one match of columns."""
    k = first.shape[1]
    correlations = np.abs(np.corrcoef(first.T, second.T)[:k, k:])
    return correlations[linear_sum_assignment(-correlations)].mean()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_record_names_its_class_and_its_settings(record):
    module, _, attribute = record.loader.partition(":")
    made = getattr(importlib.import_module(module), attribute)(random_state=3)
    given = made.get_params()
    assert given.pop("random_state") == 3
    assert given == {param.name: param.default for param in record.params}


@pytest.mark.parametrize("kind", ALL)
def test_the_same_state_gives_the_same_bytes(kind, tall):
    first, second = (kind(random_state=7).fit(tall).transform(tall) for _ in range(2))
    assert first.dtype == np.float32
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("kind", [RandomRotation, ICA, PCAThenICA])
def test_another_state_gives_another_start(kind, wide):
    first, second = (kind(k=5, random_state=s).fit(wide).components_ for s in (0, 1))
    assert not np.allclose(first, second, atol=1e-3)


@pytest.mark.parametrize("kind", ALL)
def test_the_order_of_rows_does_not_matter(kind, tall):
    order = np.random.default_rng(5).permutation(len(tall))
    first, second = kind(random_state=1).fit(tall), kind(random_state=1).fit(tall[order])
    assert first.components_.tobytes() == second.components_.tobytes()


@pytest.mark.parametrize("kind", ALL)
def test_transform_is_centre_and_map(kind, tall):
    made = kind(random_state=0).fit(tall)
    expected = (tall - made.mean_) @ made.components_.T
    # float32 output of values below 100: 6e-8 relative, and headroom for cancellation.
    np.testing.assert_allclose(made.transform(tall), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ALL)
def test_no_global_generator_moves(kind, tall):
    before = np.random.get_state()[1].tobytes()
    kind(random_state=0).fit(tall)
    assert np.random.get_state()[1].tobytes() == before


@pytest.mark.parametrize("kind", ALL)
def test_it_can_be_cloned_and_put_in_a_pipeline(kind, tall):
    made = clone(kind(random_state=5))
    assert made.random_state == 5
    piped = make_pipeline(made).fit_transform(tall)
    assert piped.tobytes() == made.fit(tall).transform(tall).tobytes()


@pytest.mark.parametrize("kind", WITH_K)
def test_left_out_k_is_a_fifth_of_the_rows_at_most(kind, tall, wide):
    assert kind().fit(tall).report()["k"] == 17  # d is smallest
    assert kind().fit(wide).report()["k"] == 33 // 5


@pytest.mark.parametrize("kind", WITH_K)
def test_left_out_k_is_cut_to_the_rank_with_a_note(kind, tall):
    made = kind().fit(tall[:, :1] * np.ones((1, 5), np.float32))
    assert made.report()["k"] == 1
    assert "numerical rank 1" in made.report()["notes"][0]
    assert made.report()["rank_deficient"]


@pytest.mark.parametrize("kind", WITH_K)
def test_more_components_than_the_rank_are_refused_with_the_numbers(kind, wide):
    with pytest.raises(UsageError, match=r"k=33 .* 33 rows of width 129 and rank 32"):
        kind(k=33).fit(wide)
    with pytest.raises(UsageError, match="k is 0"):
        kind(k=0).fit(wide)


@pytest.mark.parametrize("kind", WITH_K)
def test_more_components_than_the_rank_are_cut_when_asked(kind, wide):
    report = kind(k=300, excess="cap").fit(wide).report()
    assert report["k"] == 32
    assert "k=300 was cut to the numerical rank 32" in report["notes"][0]
    with pytest.raises(UsageError, match="expected 'refuse' or 'cap'"):
        kind(excess="shrug").fit(wide)


@pytest.mark.parametrize("kind", ALL)
def test_another_width_and_no_fit_are_told_apart(kind, tall):
    with pytest.raises(UsageError, match="not fitted"):
        kind().transform(tall)
    with pytest.raises(DataError, match=r"width 16: expected 17,"):
        kind().fit(tall).transform(tall[:, :16])


@pytest.mark.parametrize("kind", ALL)
def test_reports_are_json(kind, tall):
    report = kind().fit(tall).report()
    assert json.loads(json.dumps(report)) == report
    assert report["whitening"] in ("none", "unit-variance")


@pytest.mark.parametrize("kind", WHITENING)
@pytest.mark.parametrize("name", ["tall", "wide"])
def test_whitened_components_have_unit_covariance(kind, name, request):
    X = request.getfixturevalue(name)
    made = kind(k=5).fit(X)
    # float32 output: entries of order 1 with 6e-8 rounding each.
    np.testing.assert_allclose(covariance(made.transform(X)), np.eye(5), atol=1e-5)


def test_pca_is_scikit_learns_up_to_signs(tall):
    ours = PCA(k=5).fit(tall)
    theirs = decomposition.PCA(5, svd_solver="full").fit(tall.astype(np.float64))
    cosines = np.abs(np.einsum("ij,ij->i", ours.components_, theirs.components_))
    np.testing.assert_allclose(cosines, 1, atol=1e-9)  # gaps between these variances are wide
    kept = theirs.explained_variance_ratio_.sum()
    assert ours.report()["variance_kept"] == pytest.approx(kept, rel=1e-9)


def test_rotation_is_an_orthogonal_map_of_whitening(tall):
    turn = RandomRotation(k=7).fit(tall).components_ @ np.linalg.pinv(Whiten(k=7).fit(tall).components_)
    np.testing.assert_allclose(turn @ turn.T, np.eye(7), atol=1e-10)
    assert np.abs(turn - np.eye(7)).max() > 0.1


def test_random_rotations_follow_the_haar_measure():
    generator = np.random.default_rng(0)
    draws = np.array([haar(3, generator) for _ in range(2000)])
    # On the sphere in three dimensions each coordinate is uniform on [-1, 1] (Archimedes).
    entry = np.sort(draws[:, 1, 2])
    distance = np.abs((entry + 1) / 2 - (np.arange(2000) + 0.5) / 2000).max()
    assert distance < 1.95 / np.sqrt(2000)  # Kolmogorov's bound at 0.1 %
    # Reflections are as likely as rotations: 4.4 standard deviations of a fair coin.
    assert abs(np.mean(np.linalg.det(draws) > 0) - 0.5) < 0.05


def test_ica_recovers_laplace_sources_and_a_rotation_does_not():
    generator = np.random.default_rng(3)
    sources = generator.laplace(size=(4001, 5))
    X = (sources @ generator.standard_normal((5, 9))).astype(np.float32)
    # With 4,001 samples the estimate is off by about 1 / sqrt(n): correlations of 0.99 and more.
    assert matched(ICA(k=5).fit(X).transform(X), sources) > 0.99
    assert matched(RandomRotation(k=5).fit(X).transform(X), sources) < 0.95


def test_ica_is_scikit_learns_up_to_order_and_signs(tall):
    ours = ICA(k=7, tol=1e-12, max_iter=2000).fit(tall)
    theirs = decomposition.FastICA(
        7, whiten="unit-variance", whiten_solver="svd", tol=1e-12, max_iter=2000, random_state=0
    ).fit(tall.astype(np.float64))
    cosine = ours.components_ @ theirs.components_.T
    cosine /= np.linalg.norm(ours.components_, axis=1)[:, None] * np.linalg.norm(theirs.components_, axis=1)
    rows, columns = linear_sum_assignment(-np.abs(cosine))
    # Both iterate until directions turn by 1 - |cos| < 1e-12, that is by 1e-6.
    np.testing.assert_allclose(np.abs(cosine[rows, columns]), 1, atol=1e-9)
    scale = np.linalg.norm(ours.components_, axis=1) / np.linalg.norm(theirs.components_[columns], axis=1)
    np.testing.assert_allclose(scale, 1, rtol=1e-6)


def test_ica_says_when_it_did_not_converge(wide):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = ICA(k=20, max_iter=2).fit(wide).report()
    assert report["converged"] is False
    assert report["iterations"] == 2
    assert report["tol_reached"] > report["tol"]
    assert "FastICA did not converge: after 2 iterations" in report["warnings"][0]


def test_a_converged_ica_reached_its_tolerance(tall):
    report = ICA(k=7).fit(tall).report()
    assert report["converged"] is True
    assert report["iterations"] < report["max_iter"]
    assert report["tol_reached"] < report["tol"]
    assert "warnings" not in report


def test_pca_before_ica_changes_nothing(tall):
    alone = ICA(k=5, random_state=2).fit(tall)
    for p in (None, 5, 11, 17):
        assert (
            PCAThenICA(p=p, k=5, random_state=2).fit(tall).components_.tobytes()
            == alone.components_.tobytes()
        )


def test_pca_ica_reports_p_and_refuses_one_below_k(tall, wide):
    assert PCAThenICA(k=5).fit(tall).report()["p"] == 10
    assert PCAThenICA(p=500, k=5, excess="cap").fit(wide).report()["p"] == 32
    with pytest.raises(UsageError, match="p=4 principal components cannot hold k=5"):
        PCAThenICA(p=4, k=5).fit(tall)


@pytest.mark.parametrize("kind", [PCA, Whiten, RandomRotation, ICA])
def test_the_inverse_is_the_projection_on_the_kept_axes(kind, tall):
    made = kind(k=17).fit(tall)
    # All axes are kept: the features come back, to float32 of values near 10.
    np.testing.assert_allclose(made.inverse_transform(made.transform(tall)), tall, atol=1e-2)


@pytest.mark.parametrize("kind", WITH_K)
@pytest.mark.parametrize(("n", "d"), [(2, 7), (5, 3), (257, 1), (31, 129)])
def test_the_smallest_problems_work(kind, n, d):
    X = Key.of(0).fold(n, d).generator().standard_normal((n, d)).astype(np.float32)
    made = kind().fit(X)
    assert made.transform(X).shape == (n, made.report()["k"])
    assert np.isfinite(made.transform(X)).all()
