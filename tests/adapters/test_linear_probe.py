"""The linear probe chooses C on validation alone, in units that do not depend on the features' scale."""

import json

import numpy as np
import pytest

from lpcm.adapters.linear_probe import LinearProbe
from lpcm.adapters.logistic import Solution
from lpcm.adapters.records import RECORDS
from lpcm.adapters.search import (
    BISECTIONS,
    COARSE,
    GRID,
    PATIENCE,
    Candidate,
    Edge,
    search_grid,
    search_two_stage,
)
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key

CLASSES = 5


def draw(n, seed, d=17):
    generator = Key.of(seed).fold("probe", n).generator()
    centres = Key.of(99).fold(d).generator().standard_normal((CLASSES, d))
    y = np.arange(n) % CLASSES
    return (centres[y] + 1.5 * generator.standard_normal((n, d))).astype(np.float32), y


TRAIN, VAL, TEST = draw(65, 0), draw(33, 1), draw(257, 2)


def fitted(train=TRAIN, val=VAL, **settings):
    return LinearProbe(**settings).fit(*train, classes=CLASSES, key=Key.of(0), val=val)


def test_it_learns_well_above_chance():
    assert np.mean(fitted().logits(TEST[0]).argmax(1) == TEST[1]) > 3 / CLASSES


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_scaling_all_features_changes_nothing(factor):
    factor = np.float32(factor)
    plain = fitted()
    scaled = fitted((TRAIN[0] * factor, TRAIN[1]), (VAL[0] * factor, VAL[1]))
    assert scaled.report()["C"] == plain.report()["C"]
    # float32 rounding of the scaled features
    np.testing.assert_allclose(scaled.logits(TEST[0] * factor), plain.logits(TEST[0]), atol=1e-3)


def test_moving_all_features_changes_nothing():
    moved = fitted((TRAIN[0] + 5, TRAIN[1]), (VAL[0] + 5, VAL[1]))
    np.testing.assert_allclose(moved.logits(TEST[0] + 5), fitted().logits(TEST[0]), atol=1e-3)


def test_the_report_is_json_and_tells_c_and_convergence():
    report = fitted().report()
    assert json.loads(json.dumps(report)) == report
    assert report["C"] in set(GRID)
    assert report["converged"]
    assert report["C_at_edge"] in ("lower", "upper", "none")
    assert 0 <= report["val_accuracy"] <= 1


def test_c_cannot_be_chosen_without_validation():
    with pytest.raises(UsageError, match="chooses C on validation"):
        fitted(val=None)
    assert fitted(val=None, C=2.0).report()["C"] == 2.0
    assert fitted(val=None, C=2.0).selection == "C fixed at 2"


def test_a_class_without_rows_is_never_predicted():
    keep = TRAIN[1] != 3
    probe = fitted((TRAIN[0][keep], TRAIN[1][keep]))
    logits = probe.logits(TEST[0])
    assert logits.shape == (257, CLASSES)
    assert np.isneginf(logits[:, 3]).all()
    assert np.isfinite(np.delete(logits, 3, axis=1)).all()
    # Its validation rows count as wrong: a choice of C cannot be rewarded for them.
    assert probe.report()["val_accuracy"] <= np.mean(VAL[1] != 3)


def test_one_class_is_refused():
    with pytest.raises(DataError, match="rows of 1 class"):
        fitted((TRAIN[0], np.zeros(65, int)))


def test_rows_that_are_all_the_same_are_refused():
    with pytest.raises(DataError, match="all the same"):
        fitted((np.ones_like(TRAIN[0]), TRAIN[1]))


def test_a_probe_that_is_cut_short_warns():
    report = fitted(C=1e4, max_iter=1).report()
    assert not report["converged"]
    assert "did not converge" in report["warnings"][0]


@pytest.mark.parametrize("C", [1e-1, 1e1])
def test_scikit_learn_as_the_solver_gives_the_same_classifier(C):
    ours, theirs = (fitted(C=C, solver=solver, max_iter=2000) for solver in ("path", "sklearn"))
    first, second = (probe.logits(TEST[0]) - probe.logits(TEST[0])[:, :1] for probe in (ours, theirs))
    # Logits are of order 4; scikit-learn stops at a mean gradient of 1e-4, before the factor C.
    np.testing.assert_allclose(first, second, atol=0.1)
    assert np.mean(first.argmax(1) == second.argmax(1)) > 0.99


def test_scikit_learn_cut_short_warns_in_the_report():
    report = fitted(C=1e4, solver="sklearn", max_iter=2).report()
    assert not report["converged"]
    assert "did not converge" in report["warnings"][0]


def test_scikit_learn_with_two_classes_has_two_logits():
    train = (TRAIN[0], TRAIN[1] % 2)
    probe = LinearProbe(C=1.0, solver="sklearn").fit(*train, classes=2, key=Key.of(0))
    assert probe.logits(TEST[0]).shape == (257, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"C": 0.0}, "C is 0.0"),
        ({"C": float("nan")}, "C is nan"),
        ({"grid": ()}, "grid is"),
        ({"grid": (1.0, -1.0)}, "grid is"),
        ({"search": "random"}, "expected 'grid' or 'two-stage'"),
        ({"scale": "std"}, "expected 'rms' or 'none'"),
        ({"solver": "magic"}, "expected 'path' or 'torch' or 'sklearn'"),
    ],
)
def test_wrong_settings_say_what_is_expected(settings, message):
    with pytest.raises(UsageError, match=message):
        LinearProbe(**settings)


def test_the_record_lists_the_settings_with_their_defaults():
    record = next(record for record in RECORDS if record.name == "linear-probe")
    probe = LinearProbe(**{param.name: param.default for param in record.params})
    plain = LinearProbe()
    for param in record.params:
        assert getattr(probe, param.name) == getattr(plain, param.name)


def candidates(accuracy, loss=lambda C: 0.0):
    fits = []

    def fit(C):
        fits.append(C)
        return Candidate(C, Solution(np.zeros((1, 2)), np.zeros(2), 1, True), accuracy(C), loss(C))

    return fit, fits


def test_ties_in_accuracy_go_to_the_lower_loss_and_then_to_the_smaller_c():
    fit, fits = candidates(lambda C: 0.5, lambda C: abs(np.log10(C) - 2))
    assert search_grid(fit, GRID)[0].C == 100
    assert (
        fits == sorted(GRID)[: sorted(GRID).index(100) + 1 + PATIENCE]
    )  # strong penalty first, and no further
    fit, _ = candidates(lambda C: 0.5)
    best, edge = search_grid(fit, GRID)
    assert (best.C, edge) == (GRID[0], Edge.LOWER)
    fit, _ = candidates(lambda C: C, lambda C: -C)
    assert search_grid(fit, (1.0, 2.0, 3.0))[1] is Edge.UPPER


@pytest.mark.parametrize("measure", ["accuracy", "log-loss"])
def test_the_search_goes_on_while_either_measure_gets_better(measure):
    better = measure == "accuracy"
    fit, fits = candidates(lambda C: C if better else -C, lambda C: C if better else -C)
    search_grid(fit, GRID)
    assert fits == sorted(GRID)


def test_one_bad_step_does_not_end_the_search():
    values = dict(zip(sorted(GRID), [0.5, 0.6, 0.55, 0.7, 0.65, 0.6, 0.9, 0.9, 0.9], strict=True))
    fit, fits = candidates(values.__getitem__)
    best, _ = search_grid(fit, GRID)
    assert best.accuracy == 0.7
    assert len(fits) == 6


def test_the_two_stage_search_closes_in_on_a_peak():
    peak = 3.7
    fit, fits = candidates(lambda C: -abs(np.log10(C) - np.log10(peak)))
    best, edge = search_two_stage(fit)
    assert edge is Edge.NONE
    # From a peak of the sweep at 1, the bracket of two decades is halved eight times.
    assert abs(np.log10(best.C / peak)) <= 2 / 2 ** (BISECTIONS - 1)
    assert set(fits[: len(COARSE)]) == set(COARSE)
    assert len(fits) == len(set(fits))  # nothing is fitted twice


def test_the_two_stage_search_breaks_ties_of_its_sweep_by_the_larger_c():
    fit, _ = candidates(lambda C: 0.5)
    best, edge = search_two_stage(fit)
    assert edge is Edge.UPPER
    assert pytest.approx(1e5) == best.C  # all equal: the lower end of the bracket around 1e6 is kept
