"""What metrics are made of equals scikit-learn's, scipy's, or a literal twin: information, correlation, probes."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression
from sklearn.metrics import balanced_accuracy_score, mutual_info_score, r2_score

from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.metrics.association import Correlation, associations
from lpcm.metrics.chance import permuted
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.importance import Regressor, importance, regressor_of
from lpcm.metrics.information import (
    Binning,
    binned,
    binning_of,
    entropies,
    histogram_information,
    neighbour_information,
)
from lpcm.metrics.linear_skill import LinearSkill
from lpcm.metrics.logistic_probe import logistic_answers
from lpcm.metrics.sparse_path import _SMALLEST, PENALTIES, sparse_paths
from lpcm.plugin.truth import FactorKind, Factors

from .conftest import K


def test_histogram_information_is_scikit_learns_on_the_same_bins(states):
    found = histogram_information(states.perfect, 20, Binning.WIDTH)
    for component in range(0, K, 7):
        column = states.perfect.codes[:, component]
        edges = np.linspace(column.min(), column.max(), 21)[1:-1]
        bins = np.searchsorted(edges, column, side="right")
        for factor in range(5):
            expected = mutual_info_score(states.perfect.levels(factor), bins)
            assert found[factor, component] == pytest.approx(expected, abs=1e-12)  # the same fp64 sums


def test_quantile_bins_are_equally_full_and_blind_to_monotone_maps(states):
    codes = states.perfect.codes
    bins = binned(codes, 20, Binning.QUANTILE)
    counts = np.bincount(bins[:, -1])
    assert counts.max() - counts.min() <= 1  # 601 rows in 20 bins
    assert np.array_equal(bins, binned(np.exp(codes), 20, Binning.QUANTILE))


@pytest.mark.parametrize("neighbours", [1, 3, 10])
def test_neighbour_information_is_scikit_learns(states, neighbours):
    found = neighbour_information(states.perfect, neighbours)
    for factor in (0, 2, 4):
        expected = mutual_info_classif(
            states.perfect.standard[:, ::5],
            states.perfect.levels(factor),
            discrete_features=False,
            n_neighbors=neighbours,
            random_state=0,
        )
        # The noise of 1e-10 that parts ties is another draw.
        assert np.allclose(found[factor, ::5], expected, atol=1e-7)


def test_neighbours_that_a_level_does_not_have_are_not_asked_for(states):
    levels = states.factors.values[:, 0].copy()
    levels[:3], levels[5] = 7, 9  # a level of three rows, and a row alone in its level
    factors = Factors(("few",), (FactorKind.CATEGORICAL,), levels[:, None])
    found = neighbour_information(Comparison.in_order(factors, states.perfect.codes), 10)
    expected = mutual_info_classif(
        states.perfect.standard[:, ::5],
        levels.astype(int),
        discrete_features=False,
        n_neighbors=10,
        random_state=0,
    )
    # Among three rows scikit-learn takes distances by expanding the square; its rounding counts a neighbour itself or
    # does not: one count of some hundred in one of 601 rows.
    assert np.allclose(found[0, ::5], expected, atol=1e-4)


def test_ties_and_constant_components_have_finite_information(states):
    codes = np.column_stack([np.ones(601), states.factors.values[:, 1], np.sign(states.perfect.codes[:, 0])])
    comparison = Comparison.in_order(states.factors, codes)
    for found in (
        neighbour_information(comparison, 10),
        histogram_information(comparison, 20, Binning.QUANTILE),
    ):
        assert np.isfinite(found).all()
        assert not found[:, 0].any()
    # A copy of a binary factor knows all of it: its entropy, up to the estimate's bias of about k / N_l.
    assert neighbour_information(comparison, 10)[1, 1] == pytest.approx(entropies(comparison)[1], abs=0.02)


def test_correlations_of_numbers_are_pearsons_and_spearmans(states):
    plain, ranks = associations(states.moved), associations(states.moved, correlation=Correlation.SPEARMAN)
    for factor in (2, 3):
        for component in range(0, K, 4):
            pair = states.moved.factors.values[:, factor], states.moved.codes[:, component]
            assert plain[factor, component] == pytest.approx(abs(pearsonr(*pair)[0]), abs=1e-12)
            assert ranks[factor, component] == pytest.approx(abs(spearmanr(*pair)[0]), abs=1e-12)


def test_the_correlation_with_a_category_is_the_ratio_of_variances_between_and_in_all(states):
    found = associations(states.perfect)[0]
    shape = states.factors.values[:, 0]
    for component in range(0, K, 4):
        column = states.perfect.codes[:, component]
        between = sum(
            (shape == v).mean() * (column[shape == v].mean() - column.mean()) ** 2 for v in range(3)
        )
        assert found[component] == pytest.approx(np.sqrt(between / column.var()), abs=1e-12)


def test_the_correlation_with_an_angle_is_mardias(states):
    found = associations(states.rotated)[4]
    cosine, sine = np.cos(states.factors.values[:, 4]), np.sin(states.factors.values[:, 4])
    for component in range(0, K, 4):
        column = states.rotated.codes[:, component]
        xc, xs = np.corrcoef(column, cosine)[0, 1], np.corrcoef(column, sine)[0, 1]
        cs = np.corrcoef(cosine, sine)[0, 1]
        square = (xc**2 + xs**2 - 2 * xc * xs * cs) / (1 - cs**2)
        assert found[component] == pytest.approx(np.sqrt(square), abs=1e-12)


@pytest.mark.parametrize("factor", range(5))
def test_a_linear_probe_has_the_skill_of_scikit_learns(states, factor):
    comparison, chosen = states.rotated, np.array([0, 3, 4, 11])
    rows = comparison.standard[:, chosen]
    fit, held = comparison.fit, comparison.held
    found = LinearSkill.of(comparison, factor).on(chosen)
    if comparison.kind(factor) is FactorKind.CATEGORICAL:
        labels = comparison.levels(factor)
        classes = len(np.unique(labels))
        model = LinearDiscriminantAnalysis(priors=np.full(classes, 1 / classes)).fit(rows[fit], labels[fit])
        recall = balanced_accuracy_score(labels[held], model.predict(rows[held]))
        expected = (recall - 1 / classes) / (1 - 1 / classes)
    else:
        targets = comparison.targets(factor)
        predicted = LinearRegression().fit(rows[fit], targets[fit]).predict(rows[held]).reshape(len(held), -1)
        total = np.square(targets[held] - targets[fit].mean(0)).sum()
        expected = 1 - np.square(targets[held] - predicted).sum() / total
    # The ridge of a millionth; a class at most changes where scores tie to a millionth.
    assert found == pytest.approx(max(0, expected), abs=1e-5)


def test_no_component_has_no_skill_and_copies_do_no_harm(states):
    probe = LinearSkill.of(states.copied, 2)
    assert probe.on(np.zeros(0, int)) == 0
    assert probe.on(np.array([4, 12])) == pytest.approx(probe.on(np.array([4])), abs=1e-5)


def test_sets_of_the_path_are_those_of_scikit_learns_lasso(states):
    path = sparse_paths(states.rotated)[3]
    rows = states.rotated.standard[states.rotated.fit]
    target = states.rotated.targets(3)[states.rotated.fit][:, 0]
    largest = np.abs((rows - rows.mean(0)).T @ (target - target.mean())).max() / len(rows)
    sizes = [
        np.count_nonzero(Lasso(alpha=penalty, tol=1e-8, max_iter=100_000).fit(rows, target).coef_)
        for penalty in largest * np.geomspace(1.0, _SMALLEST, PENALTIES)[1::6]
    ]
    found = [len(support) for support in path.supports]
    # The path stops at a wider gap, where a component with a coefficient of nearly nothing may still be in or out.
    assert all(min(abs(size - other) for other in found) <= 1 for size in sizes)


def test_chosen_coefficients_are_least_squares_on_the_set_of_the_least_criterion(states):
    fit = states.rotated.fit
    rows, target = states.rotated.standard[fit], states.rotated.targets(3)[fit][:, 0]
    path, values, fitted = sparse_paths(states.rotated)[3], [], []
    for support in path.supports:
        model = LinearRegression().fit(rows[:, support], target)
        left = np.square(target - model.predict(rows[:, support])).sum()
        # 3 + 2 + 1 + 1 + 2 targets, each of which might go with any of K components.
        values.append(len(fit) * np.log(left) + (np.log(len(fit)) + 2 * np.log(9 * K)) * len(support))
        fitted.append((support, model.coef_))
    support, coefficients = fitted[int(np.argmin(values))]
    assert np.array_equal(np.flatnonzero(path.chosen[0]), support)
    assert np.allclose(path.chosen[0, support], coefficients, atol=1e-5)  # the ridge of a millionth


def test_supports_of_a_path_hold_every_target_and_do_not_repeat(states):
    for path in sparse_paths(states.perfect):
        sizes = [len(support) for support in path.supports]
        assert sizes[0] >= 1
        for one, other in zip(path.supports, path.supports[1:], strict=False):
            assert not np.array_equal(one, other)


def test_noise_is_kept_out_of_the_chosen_coefficients(states):
    kept = [
        any(path.chosen.any() for path in sparse_paths(permuted(states.perfect, Key.of(seed))))
        for seed in range(30)
    ]
    assert sum(kept) <= 2  # about one in a hundred lets something in


@pytest.mark.parametrize("regressor", Regressor)
def test_every_regressor_finds_the_component_of_each_number(states, regressor):
    few = Comparison.in_order(states.factors, states.perfect.codes[:, :10]).take(np.arange(121))
    found = importance(few, regressor)
    assert found.weights.argmax(0)[2:4].tolist() == [4, 5]
    assert (found.weights >= 0).all()
    assert (found.skill > 0.8).all()


def test_trees_share_out_one_for_each_factor(states):
    few = Comparison.in_order(states.factors, states.perfect.codes[:, :7]).take(np.arange(91))
    # Impurity decreases are made to sum to 1 by scikit-learn, tree by tree.
    assert np.allclose(importance(few, Regressor.FOREST).weights.sum(0), 1, atol=1e-9)


def test_skill_of_trees_is_r2_on_the_held_out_rows(states):
    few = Comparison.in_order(states.factors, states.perfect.codes[:, :6]).take(np.arange(91))
    target = few.targets(2)[:, 0]
    model = GradientBoostingRegressor(random_state=0).fit(few.standard[few.fit], target[few.fit])
    expected = r2_score(target[few.held], model.predict(few.standard[few.held]))
    # Trees differ in how ties are broken by their state alone; R^2 is taken from the mean of the fit.
    assert importance(few, Regressor.BOOSTING).skill[2] == pytest.approx(expected, abs=0.01)


def test_logistic_probes_answer_for_rows_they_did_not_see(states):
    answers = logistic_answers(states.rotated)[0]
    fit, held = states.rotated.fit, states.rotated.held
    labels = states.rotated.levels(0)
    model = LogisticRegression(tol=1e-8, max_iter=10_000).fit(states.rotated.standard[fit], labels[fit])
    expected = model.predict_proba(states.rotated.standard[held])
    assert np.allclose(answers.probabilities, expected, atol=2e-3)  # both stop at their gradient's tolerance
    assert np.array_equal(answers.levels, labels[held])


def test_names_that_are_not_known_are_told_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'forest'"):
        regressor_of("forrest")
    with pytest.raises(UsageError, match="did you mean 'quantile'"):
        binning_of("quantiles")
