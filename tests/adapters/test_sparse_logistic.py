"""The sparse solver finds scikit-learn's minimum, and its duality gap bounds how far from it a solution is."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lpcm.adapters.logistic import log_loss
from lpcm.adapters.sparse_logistic import SparsePath
from lpcm.keys import Key

RATIOS = pytest.mark.parametrize("l1_ratio", [1.0, 0.5])


def clusters(n, d, classes):
    generator = Key.of(0).fold("clusters", n, d, classes).generator()
    centres = generator.standard_normal((classes, d))
    y = np.arange(n) % classes
    X = centres[y] + generator.standard_normal((n, d)) + 2.0
    return X / np.sqrt(np.square(X - X.mean(0)).sum(1).mean()), y


def objective(X, y, weights, bias, C, l1_ratio):
    penalty = l1_ratio * np.abs(weights).sum() + (1 - l1_ratio) / 2 * np.square(weights).sum()
    return C * len(y) * log_loss(X @ weights + bias, y) + penalty


@RATIOS
@pytest.mark.parametrize("multiple", [3, 30])
@pytest.mark.parametrize(("n", "d"), [(33, 65), (129, 17)])
def test_the_objective_is_scikit_learns_minimum(n, d, multiple, l1_ratio):
    X, y = clusters(n, d, 3)
    path = SparsePath(X, y, 3, l1_ratio=l1_ratio, gap=1e-8, max_iter=20_000)
    C = multiple * path.empty_C
    ours = path.solve(C)
    model = LogisticRegression(
        C=C, l1_ratio=l1_ratio, solver="saga", tol=1e-7, max_iter=100_000, random_state=0
    ).fit(X, y)
    reached = objective(X, y, model.coef_.T, model.intercept_, C, l1_ratio)
    found = objective(X, y, ours.weights, ours.bias, C, l1_ratio)
    assert ours.converged
    assert found <= reached * (1 + 1e-8)  # the gap that was asked for
    assert found == pytest.approx(reached, rel=1e-6)  # scikit-learn's own distance from the minimum


@RATIOS
def test_the_certificate_bounds_the_distance_to_the_minimum(l1_ratio):
    X, y = clusters(65, 33, 5)
    C = 10 * SparsePath(X, y, 5, l1_ratio=l1_ratio).empty_C
    best = SparsePath(X, y, 5, l1_ratio=l1_ratio, gap=1e-10, max_iter=20_000).solve(C)
    minimum = objective(X, y, best.weights, best.bias, C, l1_ratio)
    for gap in (1e-1, 1e-3, 1e-5):
        rough = SparsePath(X, y, 5, l1_ratio=l1_ratio, gap=gap).solve(C)
        above = objective(X, y, rough.weights, rough.bias, C, l1_ratio) / minimum - 1
        assert -1e-10 <= above <= rough.gap <= gap  # the minimum itself is known to 1e-10


@RATIOS
def test_below_the_empty_c_all_weights_are_zero_and_above_it_some_are_not(l1_ratio):
    X, y = clusters(65, 33, 5)
    path = SparsePath(X, y, 5, l1_ratio=l1_ratio, gap=1e-8)
    below = path.solve(0.99 * path.empty_C)
    assert np.count_nonzero(below.weights) == 0
    np.testing.assert_allclose(np.exp(below.bias) / np.exp(below.bias).sum(), np.full(5, 0.2), atol=1e-9)
    assert np.count_nonzero(path.solve(1.2 * path.empty_C).weights) > 0


@RATIOS
def test_a_warm_path_ends_where_a_cold_start_ends(l1_ratio):
    X, y = clusters(65, 33, 5)
    path = SparsePath(X, y, 5, l1_ratio=l1_ratio, gap=1e-6)
    for multiple in (2, 8, 32):
        C = multiple * path.empty_C
        warm = path.solve(C)
        cold = SparsePath(X, y, 5, l1_ratio=l1_ratio, gap=1e-6).solve(C)
        low, high = sorted(objective(X, y, s.weights, s.bias, C, l1_ratio) for s in (warm, cold))
        assert high <= low * (1 + 2e-6)  # each is within its gap


def test_unequal_classes_are_no_trouble():
    X, y = clusters(65, 7, 3)
    keep = np.flatnonzero((y != 0) | (np.arange(65) < 9))
    path = SparsePath(X[keep], y[keep], 3, l1_ratio=1.0)
    assert path.solve(20 * path.empty_C).converged


def test_a_solver_that_is_cut_short_says_so():
    X, y = clusters(65, 33, 5)
    path = SparsePath(X, y, 5, l1_ratio=1.0, max_iter=2)
    solution = path.solve(100 * path.empty_C)
    assert not solution.converged
    assert solution.gap > 1e-4


def test_equal_rows_of_two_classes_are_no_trouble():
    solution = SparsePath(np.ones((4, 3)), np.array([0, 1, 0, 1]), 2, l1_ratio=1.0).solve(1.0)
    assert solution.converged
    assert np.abs(solution.weights).max() == 0


@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0])  # at 40 most probabilities are 0 or 1
def test_intercepts_are_balanced_as_by_scaling_the_columns_one_after_the_other(scale):
    X, y = clusters(65, 33, 5)
    path = SparsePath(X, y, 5, l1_ratio=1.0)
    scores = scale * Key.of(0).fold("scores").generator().standard_normal((65, 5))
    _, p = path._balanced(scores)
    counts = np.bincount(y)
    np.testing.assert_allclose(p.sum(0), counts, rtol=1e-10)  # what counts as balanced
    literal = np.zeros(5)
    for _ in range(20_000):
        q = np.exp(scores + literal - (scores + literal).max(1, keepdims=True))
        q /= q.sum(1, keepdims=True)
        literal += np.log(counts / q.sum(0))
    # A flat direction at large scales: what both must agree on are the probabilities.
    np.testing.assert_allclose(p, q, atol=1e-6)


def test_a_certificate_costs_a_few_passes_over_the_rows_and_not_hundreds(monkeypatch):
    from lpcm.adapters import sparse_logistic

    passes = []
    softmax = sparse_logistic._softmax
    monkeypatch.setattr(sparse_logistic, "_softmax", lambda scores: passes.append(1) or softmax(scores))
    X, y = clusters(129, 33, 5)
    path = SparsePath(X, y, 5, l1_ratio=0.5, gap=1e-6)
    certificates = []
    certified = path._certified
    monkeypatch.setattr(path, "_certified", lambda *a: certificates.append(1) or certified(*a))
    path.solve(30 * path.empty_C)
    assert len(certificates) > 3
    assert len(passes) < 12 * len(certificates)
