"""GDA is linear discriminant analysis with its published shrinkage, plus zero-shot, and chooses alpha on validation."""

import json

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from lpcm.adapters.gda import ALPHAS, GDA
from lpcm.adapters.prompts import unit
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL, D


def fitted(train=TRAIN, val=VAL, prompts=PROMPTS, **settings):
    return GDA(**settings).fit(*train, classes=CLASSES, key=Key.of(0), val=val, text=prompts)


@check_adapter("gda")
def test_it_keeps_the_promises_of_an_adapter(check):
    check()


def test_logits_are_the_literal_formula():
    alpha = 0.1
    X, y = unit(TRAIN[0]), TRAIN[1]
    means = [X[y == c].mean(0) for c in range(CLASSES)]
    n = len(X)
    S = sum(np.outer(x - means[c], x - means[c]) for x, c in zip(X, y, strict=True)) / (n - 1)
    P = D * np.linalg.pinv((n - 1) * S + np.trace(S) * np.eye(D))
    logits = fitted(alpha=alpha).logits(TEST[0])
    for i, f in enumerate(unit(TEST[0])):
        for c in range(CLASSES):
            t = PROMPTS.features[c].astype(float) / np.linalg.norm(PROMPTS.features[c].astype(float))
            literal = means[c] @ P @ f + np.log(1 / CLASSES) - means[c] @ P @ means[c] / 2
            # Logits are of order 100 and P of order 10: rounding of the two ways to invert.
            assert logits[i, c] == pytest.approx(100 * f @ t + alpha * literal, abs=1e-9)


@pytest.mark.parametrize("shrinkage", [1e-3, 0.3, 1.0])
def test_the_discriminant_is_scikit_learns_with_the_same_shrinkage(shrinkage):
    # scikit-learn divides the pooled covariance by n, GDA by n - 1: with s fixed that is a factor of the slope.
    priors = np.full(CLASSES, 1 / CLASSES)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=priors)
    n = len(TRAIN[0])
    scores = model.fit(unit(TRAIN[0]), TRAIN[1]).decision_function(unit(TEST[0])) - np.log(priors)
    ours = fitted(shrinkage=shrinkage, prompts=None).logits(TEST[0]) - np.log(priors)
    expected = scores * shrinkage * (n - 1) / n
    # Two ways to invert the same matrix, of condition number 1e3 at most here.
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_rotating_the_features_changes_nothing():
    turn = np.linalg.qr(Key.of(5).generator().standard_normal((D, D)))[0]

    def turned(rows):
        return (rows @ turn).astype(np.float32)

    there = fitted(
        (turned(TRAIN[0]), TRAIN[1]),
        (turned(VAL[0]), VAL[1]),
        TextPrompts(turned(PROMPTS.features), PROMPTS.classes),
    )
    # float32 rounding of the turned features, times logits of order 100
    np.testing.assert_allclose(there.logits(turned(TEST[0])), fitted().logits(TEST[0]), atol=1e-3)


def test_text_is_added_where_there_is_some_and_can_be_left_out():
    assert fitted().report()["text"] == "added"
    alone = fitted(prompts=None)
    assert alone.report()["text"] == "left-out"
    assert alone.selection == "none: nothing is chosen"
    np.testing.assert_array_equal(fitted(text="left-out").logits(TEST[0]), alone.logits(TEST[0]))


@pytest.mark.parametrize("prompts", [PROMPTS, None])
def test_a_class_without_rows_is_never_predicted(prompts):
    keep = TRAIN[1] != 3
    logits = fitted((TRAIN[0][keep], TRAIN[1][keep]), prompts=prompts).logits(TEST[0])
    assert np.isneginf(logits[:, 3]).all()
    assert np.isfinite(np.delete(logits, 3, axis=1)).all()


def test_one_shot_is_the_nearest_class_mean():
    rows = np.arange(CLASSES)
    one = fitted((TRAIN[0][rows], TRAIN[1][rows]), prompts=None)
    assert one.report()["covariance"].startswith("identity")
    means = unit(TRAIN[0][rows])[np.argsort(TRAIN[1][rows])]
    nearest = np.linalg.norm(unit(TEST[0])[:, None] - means, axis=2).argmin(1)
    np.testing.assert_array_equal(one.logits(TEST[0]).argmax(1), nearest)


def test_alpha_is_the_best_of_the_grid_on_validation_rows():
    report = fitted().report()
    assert json.loads(json.dumps(report)) == report
    accuracies = {a: np.mean(fitted(alpha=a).logits(VAL[0]).argmax(1) == VAL[1]) for a in ALPHAS}
    assert accuracies[report["alpha"]] == max(accuracies.values()) == report["val_accuracy"]
    assert min(accuracies.values()) < max(accuracies.values())  # there was something to choose


def test_alpha_cannot_be_chosen_without_validation():
    with pytest.raises(UsageError, match="chooses alpha on validation"):
        fitted(val=None)
    assert fitted(val=None, alpha=2.0).selection == "alpha fixed at 2"


def test_one_class_is_refused():
    with pytest.raises(DataError, match="rows of 1 class"):
        fitted((TRAIN[0], np.zeros(len(TRAIN[0]), int)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"grid": ()}, "grid is"),
        ({"shrinkage": 0.0}, "shrinkage is 0.0"),
        ({"shrinkage": 1.5}, "shrinkage is 1.5"),
    ],
)
def test_wrong_settings_say_what_is_expected(settings, message):
    with pytest.raises(UsageError, match=message):
        fitted(**settings)
    with pytest.raises(UsageError, match="'added' or 'left-out'"):
        GDA(text="maybe")
