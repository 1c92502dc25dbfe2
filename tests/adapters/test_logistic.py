"""The path solver finds the minimum that scikit-learn finds, and its certificate does not lie."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lpcm.adapters.logistic import PathSolver, log_loss
from lpcm.keys import Key


def clusters(n, d, classes, spread=1.0, seed=0):
    generator = Key.of(seed).fold("clusters", n, d, classes).generator()
    centres = generator.standard_normal((classes, d))
    y = np.arange(n) % classes
    X = centres[y] + spread * generator.standard_normal((n, d)) + 2.0
    return X / np.sqrt(np.square(X - X.mean(0)).sum(1).mean()), y


def objective(X, y, weights, bias, C):
    return C * len(y) * log_loss(X @ weights + bias, y) + 0.5 * np.square(weights).sum()


@pytest.mark.parametrize(("n", "d"), [(33, 129), (129, 17), (31, 31)])
@pytest.mark.parametrize("C", [1e-2, 1e1, 1e4])
def test_the_objective_is_scikit_learns_minimum(n, d, C):
    X, y = clusters(n, d, 3)
    ours = PathSolver(X, y, 3).solve(C)
    with warnings.catch_warnings():
        # At C = 1e4 scikit-learn's line search may stop at rounding: the value is compared all the same.
        warnings.simplefilter("ignore")
        theirs = LogisticRegression(C=C, tol=1e-10, max_iter=20_000).fit(X, y)
    reached = objective(X, y, theirs.coef_.T, theirs.intercept_, C)
    found = objective(X, y, ours.weights, ours.bias, C)
    assert ours.converged
    assert found <= reached * (1 + 1e-8)
    assert found == pytest.approx(reached, rel=1e-6)  # scikit-learn's own distance from the minimum


def test_the_certificate_bounds_the_distance_to_the_minimum():
    X, y = clusters(65, 33, 5)
    best = PathSolver(X, y, 5, gap=1e-13).solve(100.0)
    minimum = objective(X, y, best.weights, best.bias, 100.0)
    for gap in (1e-1, 1e-3, 1e-6):
        rough = PathSolver(X, y, 5, gap=gap).solve(100.0)
        above = objective(X, y, rough.weights, rough.bias, 100.0) / minimum - 1
        assert 0 <= above <= rough.gap <= gap


def test_a_warm_path_ends_where_a_cold_start_ends():
    X, y = clusters(65, 33, 5)
    path = PathSolver(X, y, 5)
    for C in (1e-2, 1e0, 1e2, 1e4):
        warm = path.solve(C)
        cold = PathSolver(X, y, 5).solve(C)
        low, high = sorted(objective(X, y, s.weights, s.bias, C) for s in (warm, cold))
        assert high <= low * (1 + 2e-9)  # each is within the default gap of 1e-9


def test_a_solver_that_is_cut_short_says_so():
    X, y = clusters(65, 33, 5)
    solution = PathSolver(X, y, 5, max_iter=1).solve(1e4)
    assert not solution.converged
    assert solution.gap > 1e-9


def test_two_classes_share_the_penalty_evenly():
    X, y = clusters(31, 7, 2)
    solution = PathSolver(X, y, 2).solve(10.0)
    # |w|^2 is least when the two columns are opposite; the gap of 1e-9 leaves 1e-4 of slack in the weights.
    np.testing.assert_allclose(solution.weights.sum(1), 0, atol=1e-4)


def test_equal_rows_of_two_classes_are_no_trouble():
    solution = PathSolver(np.ones((4, 3)), np.array([0, 1, 0, 1]), 2).solve(1.0)
    assert solution.converged
    assert np.abs(solution.weights).max() == 0


def test_log_loss_is_the_mean_surprise():
    logits = np.log(np.array([[0.25, 0.75], [0.5, 0.5]]))
    expected = -(np.log(0.25) + np.log(0.5)) / 2
    assert log_loss(logits + 1000, np.array([0, 1])) == pytest.approx(expected, rel=1e-10)
