"""Each metric equals its definition written out the long way, or scikit-learn's."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mutual_info_score, roc_auc_score

from lpcm.disentanglers.haar import haar
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.dci import Completeness, Disentanglement, Informativeness
from lpcm.metrics.explicitness import Explicitness, area_under_roc
from lpcm.metrics.factor_metric import entropy_share
from lpcm.metrics.importance import Regressor, importance
from lpcm.metrics.infomec import InfoC, InfoE, InfoM
from lpcm.metrics.irs import IRS
from lpcm.metrics.l1_probe import L1Probe
from lpcm.metrics.linear_skill import LinearSkill
from lpcm.metrics.mcc import MCC
from lpcm.metrics.mig import MIG
from lpcm.metrics.modularity import Modularity
from lpcm.metrics.r2 import R2, AdjustedR2, held_out
from lpcm.metrics.sap import SAP, threshold_skill
from lpcm.metrics.sparse_path import sparse_paths
from lpcm.metrics.stumps import Stumps, questions
from lpcm.metrics.top_m import TopM

# Both sides are fp64 sums of some hundred terms.
SUMS = 1e-10


@pytest.fixture(scope="module", params=["perfect", "rotated", "noise"])
def comparison(request, states):
    return getattr(states, request.param).take(np.arange(257))


def measure(metric, comparison):
    return metric.measure(comparison).value


def histogram(comparison, factor, component, bins=20):
    column = comparison.codes[:, component]
    edges = np.linspace(column.min(), column.max(), bins + 1)[1:-1]
    return mutual_info_score(comparison.levels(factor), np.searchsorted(edges, column, side="right"))


def information(comparison):
    return np.array([[histogram(comparison, i, j) for j in range(comparison.k)] for i in range(comparison.f)])


@pytest.mark.parametrize("regressor", ["lasso", "forest"])
def test_dci_is_entropies_of_importances(comparison, regressor):
    few = comparison.with_codes(comparison.codes[:, :7]).take(np.arange(91))
    found = importance(few, Regressor(regressor))
    weights, disentangled, complete = found.weights, 0.0, 0.0
    for row in weights:
        if row.sum() > 0:
            p = row / row.sum()
            share = 1 + sum(x * np.log(x) for x in p if x > 0) / np.log(few.f)
            disentangled += share * row.sum() / weights.sum()
    for column in weights.T:
        if column.sum() > 0:
            p = column / column.sum()
            complete += (1 + sum(x * np.log(x) for x in p if x > 0) / np.log(few.k)) / few.f
    assert measure(Disentanglement(importance=regressor), few) == pytest.approx(disentangled, abs=SUMS)
    assert measure(Completeness(importance=regressor), few) == pytest.approx(complete, abs=SUMS)
    assert measure(Informativeness(importance=regressor), few) == pytest.approx(found.skill.mean(), abs=SUMS)


def test_entropy_shares_reach_their_ends():
    shares = entropy_share(np.array([[2.0, 0, 0], [1, 1, 1], [0, 0, 0]]))
    assert np.allclose(shares, [1, 0, 0], atol=1e-15)  # rounding of three logarithms
    assert entropy_share(np.array([[3.0], [0]])).tolist() == [1, 0]


def test_mig_is_the_gap_of_scikit_learns_information(comparison):
    table = np.sort(information(comparison), axis=1)
    gaps = [
        (table[i, -1] - table[i, -2]) / mutual_info_score(comparison.levels(i), comparison.levels(i))
        for i in range(comparison.f)
    ]
    assert measure(MIG(), comparison) == pytest.approx(np.mean(gaps), abs=SUMS)


def test_modularity_is_the_mean_squared_share_of_other_factors(comparison):
    table, each = information(comparison), []
    for j in range(comparison.k):
        column = table[:, j]
        best = column.argmax()
        others = sum(column[i] ** 2 for i in range(comparison.f) if i != best)
        each.append(1 - others / (column[best] ** 2 * (comparison.f - 1)))
    assert measure(Modularity(), comparison) == pytest.approx(np.mean(each), abs=SUMS)


def test_infom_and_infoc_are_the_papers_ratios(comparison):
    table = np.array(
        [
            mutual_info_classif(
                comparison.standard,
                comparison.levels(i),
                discrete_features=False,
                n_neighbors=3,
                random_state=0,
            )
            / mutual_info_score(comparison.levels(i), comparison.levels(i))
            for i in range(comparison.f)
        ]
    )
    ranges = np.ptp(comparison.codes, axis=0)
    table = table[:, ranges > ranges.max() / 20]
    known = table[:, table.sum(0) > 0]
    modular = (np.mean(known.max(0) / known.sum(0)) - 1 / comparison.f) / (1 - 1 / comparison.f)
    count = table.shape[1]
    compact = (np.mean(table.max(1) / table.sum(1)) - 1 / count) / (1 - 1 / count)
    # The noise that parts ties is another draw than scikit-learn's.
    assert measure(InfoM(neighbours=3), comparison) == pytest.approx(modular, abs=1e-6)
    assert measure(InfoC(neighbours=3), comparison) == pytest.approx(compact, abs=1e-6)


def logistic(comparison, factor):
    labels, rows = comparison.levels(factor), comparison.standard
    model = LogisticRegression(tol=1e-8, max_iter=10_000).fit(rows[comparison.fit], labels[comparison.fit])
    return model.classes_, labels[comparison.held], model.predict_proba(rows[comparison.held])


def test_explicitness_is_scikit_learns_area_one_level_against_the_others(comparison):
    each = []
    for factor in range(comparison.f):
        classes, labels, said = logistic(comparison, factor)
        each.append(np.mean([roc_auc_score(labels == c, said[:, place]) for place, c in enumerate(classes)]))
    # Ranks change where the two solvers, which stop at their own tolerance, nearly tie.
    assert measure(Explicitness(), comparison) == pytest.approx(2 * np.mean(each) - 1, abs=2e-3)


def test_infoe_is_scikit_learns_cross_entropy_in_units_of_that_of_the_shares(comparison):
    each = []
    for factor in range(comparison.f):
        classes, labels, said = logistic(comparison, factor)
        shares = np.array([(comparison.levels(factor)[comparison.fit] == c).mean() for c in classes])
        blind = log_loss(labels, np.tile(shares, (len(labels), 1)), labels=classes)
        each.append(max(0, 1 - log_loss(labels, said, labels=classes) / blind))
    assert measure(InfoE(), comparison) == pytest.approx(np.mean(each), abs=2e-3)  # as above


def test_the_area_under_the_curve_counts_ties_half():
    scores, positive = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True])
    assert area_under_roc(scores, positive) == roc_auc_score(positive, scores) == 0.875


def test_sap_of_numbers_is_the_gap_of_squared_correlations(comparison):
    per_factor = SAP().measure(comparison).details["per_factor"]
    for factor, name in ((2, "size"), (3, "depth")):
        squares = sorted(
            np.corrcoef(comparison.codes[:, j], comparison.factors.values[:, factor])[0, 1] ** 2
            for j in range(comparison.k)
        )
        assert per_factor[name] == pytest.approx(squares[-1] - squares[-2], abs=1e-4)  # four digits


def test_sap_of_a_category_takes_the_nearest_class_mean(comparison):
    found = threshold_skill(comparison, 0)
    labels = comparison.levels(0)
    for component in (0, 5, 17):
        column = comparison.standard[:, component]
        means = [column[comparison.fit][labels[comparison.fit] == c].mean() for c in range(3)]
        said = np.array([np.argmin([abs(x - m) for m in means]) for x in column[comparison.held]])
        true = labels[comparison.held]
        recall = np.mean([(said[true == c] == c).mean() for c in range(3)])
        assert found[component] == pytest.approx(max(0, (recall - 1 / 3) / (2 / 3)), abs=SUMS)


def test_irs_is_deviations_within_levels_in_units_of_the_largest(comparison):
    codes, scores = comparison.codes, np.zeros((comparison.f, comparison.k))
    for j in range(comparison.k):
        largest = np.abs(codes[:, j] - codes[:, j].mean()).max()
        for i in range(comparison.f):
            moved = 0.0
            for level in np.unique(comparison.levels(i)):
                group = codes[comparison.levels(i) == level, j]
                moved += len(group) / comparison.n * np.quantile(np.abs(group - group.mean()), 0.99)
            scores[i, j] = 1 - min(moved / largest, 1)
    weights = np.abs(codes - codes.mean(0)).max(0)
    assert measure(IRS(), comparison) == pytest.approx(np.average(scores.max(0), weights=weights), abs=SUMS)


def test_irs_refuses_groups_of_one(states):
    names = np.arange(601).reshape(-1, 1)
    with pytest.raises(DataError, match="no value of factor 'factor 0' has 5 samples"):
        measure(IRS(), Comparison.in_order(names, states.noise.codes))


@pytest.mark.parametrize(("f", "k"), [(3, 3), (2, 5), (4, 2)])
def test_mcc_is_the_best_of_all_matchings(f, k):
    generator = np.random.default_rng(f)
    truth = generator.standard_normal((47, f))
    codes = truth @ generator.standard_normal((f, k)) + generator.standard_normal((47, k))
    table = np.abs(np.corrcoef(truth.T, codes.T)[:f, f:])
    if k >= f:
        best = max(sum(table[i, p[i]] for i in range(f)) for p in permutations(range(k), f))
    else:
        best = max(sum(table[p[j], j] for j in range(k)) for p in permutations(range(f), k))
    assert MCC()(truth, codes) == pytest.approx(best / f, abs=SUMS)


def test_r2_of_the_whole_is_ordinary_least_squares(states):
    design = np.column_stack([np.ones(601), states.perfect.codes])
    per_factor = AdjustedR2().measure(states.perfect).details["per_factor"]
    target = states.factors.values[:, 3]
    residual = target - design @ np.linalg.solve(design.T @ design, design.T @ target)
    plain = 1 - residual @ residual / np.square(target - target.mean()).sum()
    assert per_factor["depth"] == pytest.approx(1 - (1 - plain) * 600 / (601 - 31 - 1), abs=1e-4)


def test_held_out_r2_is_a_ridge_by_generalised_cross_validation(comparison):
    order = Key.of(0).fold("folds", comparison.n).generator().permutation(comparison.n)
    fold = np.empty(comparison.n, int)
    fold[order] = np.arange(comparison.n) % 5
    rows, target, error, total = comparison.standard, comparison.targets(3)[:, 0], 0.0, 0.0
    for part in range(5):
        fit, n = fold != part, (fold != part).sum()
        x, y = rows[fit] - rows[fit].mean(0), target[fit] - target[fit].mean()
        tried = []
        for penalty in n * np.geomspace(1e-6, 1e2, 17):
            inverse = np.linalg.inv(x.T @ x + penalty * np.eye(x.shape[1])) @ x.T
            left = np.square(y - x @ inverse @ y).sum()
            tried.append((left / (n - 1 - np.trace(x @ inverse)) ** 2, tuple(inverse @ y)))
        weights = np.array(min(tried)[1])
        predicted = (rows[~fit] - rows[fit].mean(0)) @ weights + target[fit].mean()
        error += np.square(target[~fit] - predicted).sum()
        total += np.square(target[~fit] - target[fit].mean()).sum()
    assert held_out(comparison)[3] == pytest.approx(
        1 - error / total, abs=1e-9
    )  # an inverse of condition 1e3


def test_held_out_r2_of_noise_is_about_nothing_however_wide(states):
    assert -0.1 < measure(R2(), states.noise) < 0.02  # the unlucky folds of five factors
    wide = Key.of(7).generator().standard_normal((601, 900)) * np.geomspace(1, 1e-6, 900)
    assert -0.1 < measure(R2(), states.noise.with_codes(wide @ haar(900, Key.of(8).generator()))) < 0.05


def test_adjusted_r2_of_noise_is_nothing_and_needs_samples(states):
    # Standard deviation of R^2 for 31 of 601 is 0.012; of the mean of five factors 0.006.
    assert measure(AdjustedR2(), states.noise) == pytest.approx(0, abs=0.025)
    with pytest.raises(DataError, match="expected at least 32"):
        measure(AdjustedR2(), states.noise.take(np.arange(31)))


def test_the_l1_probe_discounts_skill_by_the_components_it_takes(comparison):
    each = []
    for factor in range(comparison.f):
        probe = LinearSkill.of(comparison, factor)
        full = probe.on(np.arange(comparison.k))
        sizes = [len(s) for s in sparse_paths(comparison)[factor].supports if probe.on(s) >= 0.9 * full]
        needed = sizes[0] if sizes and full > 0 else comparison.k
        each.append(full * (1 - np.log(needed) / np.log(comparison.k)))
    assert measure(L1Probe(), comparison) == pytest.approx(np.mean(each), abs=SUMS)


def test_top_m_takes_the_best_components_of_the_fit(comparison):
    fitted = comparison.take(comparison.fit)
    best = np.abs([np.corrcoef(fitted.codes[:, j], fitted.factors.values[:, 3])[0, 1] for j in range(31)])
    probe = LinearSkill.of(comparison, 3)
    skills = [probe.on(np.argsort(-best)[:m]) for m in (1, 2, 4)]
    told = TopM().measure(comparison).details
    assert told["per_factor"]["depth"] == pytest.approx(np.mean(skills), abs=1e-4)  # four digits
    assert list(told["skill_by_m"]) == ["1", "2", "4", "31"]


def test_stumps_find_the_best_threshold_of_all(comparison):
    per_factor = Stumps().measure(comparison).details["per_factor"]
    (asked,) = questions(comparison, 3)
    fit, held = comparison.fit, comparison.held
    best = (-1.0, 0, 0.0, 1)
    for component in range(comparison.k):
        column = comparison.standard[fit, component]
        ordered = np.sort(column)
        for threshold in (ordered[1:] + ordered[:-1]) / 2:
            above = column > threshold
            gain = above[asked[fit]].mean() - above[~asked[fit]].mean()
            if abs(gain) > best[0] + 1e-12:
                best = (abs(gain), component, threshold, 1 if gain >= 0 else -1)
    _, component, threshold, sign = best
    said = sign * (comparison.standard[held, component] - threshold) > 0
    skill = said[asked[held]].mean() + (~said)[~asked[held]].mean() - 1
    # Two thresholds may tie on the rows of the fit and differ by a few of 85 held-out rows.
    assert per_factor["depth"] == pytest.approx(max(0, skill), abs=0.08)


def test_questions_ask_for_each_value_and_for_both_axes_of_an_angle(states):
    assert [len(questions(states.perfect, factor)) for factor in range(5)] == [3, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MIG(bins=1), "bins is 1"),
        (lambda: MIG(binning="log"), "binning is 'log'"),
        (lambda: Modularity(bins=0), "bins is 0"),
        (lambda: InfoM(neighbours=0), "neighbours is 0"),
        (lambda: InfoC(prune=1.0), "prune is 1.0"),
        (lambda: IRS(quantile=0.0), "quantile is 0.0"),
        (lambda: L1Probe(share=1.5), "share is 1.5"),
        (lambda: TopM(m=(0,)), "m is (0,)"),
        (lambda: Disentanglement(importance="ridge"), "importance is 'ridge'"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, said):
    with pytest.raises(UsageError) as raised:
        make()
    assert raised.value.message.startswith(said)
    assert "expected" in raised.value.message
