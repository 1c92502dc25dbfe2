"""The torch path finds scikit-learn's minimum, for each of several problems at once, and certifies it."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lpcm.adapters.linear_probe import LARGE, LinearProbe
from lpcm.adapters.logistic import PathSolver, log_loss
from lpcm.errors import DataError, MissingError
from lpcm.keys import Key
from lpcm.solvers.logistic_torch import GAP, TorchPath
from lpcm.solvers.quasi_newton import Memory


def clusters(n, d, classes, seed=0):
    generator = Key.of(seed).fold("clusters", n, d, classes).generator()
    y = np.arange(n) % classes
    X = generator.standard_normal((classes, d))[y] + 1.5 * generator.standard_normal((n, d)) + 2.0
    return X / np.sqrt(np.square(X - X.mean(0)).sum(1).mean()), y


def objective(X, y, solution, C):
    loss = log_loss(X @ solution.weights + solution.bias, y)
    return C * len(y) * loss + 0.5 * np.square(solution.weights).sum()


@pytest.mark.parametrize(("n", "d"), [(33, 129), (129, 17), (31, 31)])
@pytest.mark.parametrize("C", [1e-2, 1e1, 1e4])
def test_the_objective_is_scikit_learns_minimum(n, d, C):
    X, y = clusters(n, d, 3)
    (ours,) = TorchPath([X], [y], 3).solve(C)
    with warnings.catch_warnings():
        # At C = 1e4 scikit-learn's line search may stop at rounding: the value is compared all the same.
        warnings.simplefilter("ignore")
        made = LogisticRegression(C=C, tol=1e-10, max_iter=20_000).fit(X, y)
    theirs = C * n * log_loss(made.decision_function(X), y) + 0.5 * np.square(made.coef_).sum()
    assert ours.converged
    assert objective(X, y, ours, C) == pytest.approx(theirs, rel=1e-6)  # what is promised


def test_the_certificate_bounds_the_distance_to_the_minimum():
    X, y = clusters(65, 33, 5)
    minimum = objective(X, y, PathSolver(X, y, 5, gap=1e-13).solve(100.0), 100.0)
    for gap in (1e-1, 1e-3, 1e-6):
        (rough,) = TorchPath([X], [y], 5, gap=gap).solve(100.0)
        above = objective(X, y, rough, 100.0) / minimum - 1
        assert -1e-12 <= above <= rough.gap <= gap  # the minimum itself is known to 1e-13


def test_several_problems_at_once_are_each_solved_as_if_alone():
    # Other numbers of rows, and one of lower rank: rows and columns are padded.
    X, y = map(list, zip(clusters(65, 33, 5, 1), clusters(31, 33, 5, 2), clusters(47, 33, 5, 3), strict=True))
    X[2][:, 17:] = 0.0
    together = TorchPath(X, y, 5)
    for C in (1e-1, 1e1, 1e3):
        for rows, labels, solution in zip(X, y, together.solve(C), strict=True):
            minimum = objective(rows, labels, PathSolver(rows, labels, 5, gap=1e-12).solve(C), C)
            assert solution.converged
            assert solution.weights.shape == (33, 5)
            assert objective(rows, labels, solution, C) == pytest.approx(minimum, rel=GAP)


def test_a_warm_path_ends_where_a_cold_start_ends_in_fewer_iterations():
    X, y = clusters(129, 33, 5)
    path, iterations = TorchPath([X], [y], 5), np.zeros(2, int)
    for C in (1e-1, 1e0, 1e1, 1e2, 1e3):
        (warm,), (cold,) = path.solve(C), TorchPath([X], [y], 5).solve(C)
        low, high = sorted(objective(X, y, solution, C) for solution in (warm, cold))
        assert high <= low * (1 + GAP)  # each is within the gap of the minimum
        iterations += warm.iterations, cold.iterations
    assert iterations[0] < iterations[1]


def test_a_strong_penalty_after_a_weak_one_is_solved_too():
    X, y = clusters(65, 17, 3)
    path = TorchPath([X], [y], 3)
    for C in (1e3, 1e-2, 1e1):
        (solution,) = path.solve(C)
        minimum = objective(X, y, PathSolver(X, y, 3, gap=1e-12).solve(C), C)
        assert objective(X, y, solution, C) == pytest.approx(minimum, rel=GAP)


def test_a_solver_that_is_cut_short_says_so():
    X, y = clusters(65, 33, 5)
    (solution,) = TorchPath([X], [y], 5, max_iter=1).solve(1e4)
    assert not solution.converged
    assert solution.gap > GAP
    assert solution.iterations == 1


def test_equal_rows_of_two_classes_are_no_trouble():
    (solution,) = TorchPath([np.ones((4, 3))], [np.array([0, 1, 0, 1])], 2).solve(1.0)
    assert solution.converged
    assert np.abs(solution.weights).max() == 0


def test_the_same_problem_gives_the_same_bytes():
    X, y = clusters(65, 33, 5)
    first, second = (TorchPath([X], [y], 5).solve(10.0)[0].weights for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_no_problem_and_problems_of_two_widths_are_refused():
    X, y = clusters(31, 7, 3)
    with pytest.raises(DataError, match=r"widths \[6, 7\]"):
        TorchPath([X, X[:, :6]], [y, y], 3)
    with pytest.raises(DataError, match="expected one or more"):
        TorchPath([], [], 3)


def test_a_gpu_that_is_not_there_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    X, y = clusters(31, 7, 3)
    with pytest.raises(MissingError, match="torch sees no GPU"):
        TorchPath([X], [y], 3, device="cuda")


@pytest.mark.cuda
def test_a_gpu_finds_the_same_minimum():
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    X, y = clusters(129, 33, 5)
    for C in (1e0, 1e3):
        (solution,) = TorchPath([X], [y], 5, device="cuda").solve(C)
        minimum = objective(X, y, PathSolver(X, y, 5, gap=1e-12).solve(C), C)
        assert objective(X, y, solution, C) == pytest.approx(minimum, rel=GAP)


def test_the_memory_inverts_a_quadratic_that_it_has_seen():
    generator = Key.of(0).torch_generator()
    root = torch.randn(2, 5, 5, generator=generator, dtype=torch.float64)
    hessian = root @ root.mT + torch.eye(5, dtype=torch.float64)
    memory = Memory(size=200)
    steps = torch.linalg.eigh(hessian).eigenvectors  # conjugate directions of each problem
    for place in range(5):
        step = steps[:, :, place]
        memory.add(step, (hessian @ step[:, :, None])[:, :, 0])
    gradient = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    expected = -torch.linalg.solve(hessian, gradient)
    # Five conjugate pairs determine a quadratic in five dimensions; float64 and condition numbers near 100.
    torch.testing.assert_close(memory.direction(gradient), expected, rtol=1e-10, atol=1e-10)


def test_a_pair_without_curvature_has_no_say():
    memory, gradient = Memory(), torch.ones(1, 3)
    memory.add(torch.zeros(1, 3), torch.zeros(1, 3))
    memory.add(torch.ones(1, 3), -torch.ones(1, 3))
    torch.testing.assert_close(memory.direction(gradient), -gradient)


# --- the linear probe's choice of a solver ---


@pytest.mark.parametrize("C", [1e-1, 1e1])
def test_the_probe_is_the_same_classifier_by_either_path(C):
    X, y = clusters(129, 17, 5)
    X = X.astype(np.float32)
    probes = [LinearProbe(C=C, solver=name).fit(X, y, classes=5, key=Key.of(0)) for name in ("path", "torch")]
    first, second = (probe.logits(X) for probe in probes)
    first, second = first - first[:, :1], second - second[:, :1]
    # A gap of 1e-7 of an objective of about 100 C leaves |dw| < sqrt(2e-5 C): logits of rows of norm 1 move by that.
    np.testing.assert_allclose(first, second, atol=2 * np.sqrt(2e-5 * max(C, 1)))
    assert [probe.report()["solver"] for probe in probes] == ["path", "torch"]


def test_large_problems_are_given_to_torch_and_small_ones_are_not(monkeypatch):
    X, y = clusters(65, 17, 5)

    def solver():
        return LinearProbe(C=1.0).fit(X.astype(np.float32), y, classes=5, key=Key.of(0)).report()["solver"]

    assert solver() == "path"
    monkeypatch.setattr("lpcm.adapters.linear_probe.LARGE", 65 * 17 * 5)
    assert solver() == "torch"
    assert 16 * 100 * 512 * 100 < LARGE < 16_000 * 512 * 1_000  # 16 shots of 100 classes, and of ImageNet's
