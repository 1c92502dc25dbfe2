"""Cross-modal adaptation is logistic regression on shots and prompts, each modality with half of the weight."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lpcm.adapters.cross_modal import GRID, CrossModal
from lpcm.adapters.prompts import unit
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL


def fitted(train=TRAIN, val=VAL, prompts=PROMPTS, **settings):
    return CrossModal(**settings).fit(*train, classes=CLASSES, key=Key.of(0), val=val, text=prompts)


@check_adapter("cross-modal")
def test_it_keeps_the_promises_of_an_adapter(check):
    check()


@pytest.mark.parametrize(("settings", "weight"), [({}, 13), ({"copies": 3}, 3)])
def test_logits_are_those_of_weighted_logistic_regression(settings, weight):
    # Not copied rows but weights: 65 shots of 5 classes are 13 a class.
    X = np.concatenate([unit(TRAIN[0]), unit(PROMPTS.features)])
    y = np.concatenate([TRAIN[1], np.arange(CLASSES)])
    w = np.concatenate([np.ones(65), np.full(CLASSES, weight)])
    centre = np.average(X, axis=0, weights=w)
    scale = np.sqrt(np.average(np.square(X - centre).sum(1), weights=w))
    model = LogisticRegression(C=2.0, tol=1e-10, max_iter=20_000).fit(X / scale, y, sample_weight=w)
    expected = model.decision_function(unit(TEST[0]) / scale)
    logits = fitted(C=2.0, val=None, gap=1e-12, **settings).logits(TEST[0])
    # Both solvers are pushed to rounding: logits are of order 1, and the gap of 1e-12 leaves 1e-6 in them.
    np.testing.assert_allclose(
        logits - logits.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-5
    )


def test_prompts_help_when_shots_are_few():
    few = (TRAIN[0][:CLASSES], TRAIN[1][:CLASSES])
    with_text = np.mean(fitted(few, C=1.0).logits(TEST[0]).argmax(1) == TEST[1])
    swapped = type(PROMPTS)(np.roll(PROMPTS.features, 1, axis=0), PROMPTS.classes)
    with_wrong_text = np.mean(fitted(few, C=1.0, prompts=swapped).logits(TEST[0]).argmax(1) == TEST[1])
    assert with_text > with_wrong_text + 0.2


def test_a_class_without_rows_is_learnt_from_its_prompt():
    keep = TRAIN[1] != 3
    logits = fitted((TRAIN[0][keep], TRAIN[1][keep]), C=10.0).logits(PROMPTS.features)
    assert np.isfinite(logits).all()
    assert logits[3].argmax() == 3


def test_the_report_tells_the_choice():
    report = fitted().report()
    assert json.loads(json.dumps(report)) == report
    assert report["C"] in GRID
    assert report["copies"] == 13
    best = np.mean(fitted(C=report["C"]).logits(VAL[0]).argmax(1) == VAL[1])
    assert report["val_accuracy"] == pytest.approx(best, abs=1.01 / len(VAL[1]))  # warm against cold solution


def test_a_solver_that_is_cut_short_names_its_own_setting():
    report = fitted(C=1e4, max_iter=1).report()
    assert "larger cross-modal.max_iter" in report["warnings"][0]


def test_what_is_missing_is_named():
    with pytest.raises(UsageError, match="cross-modal needs text"):
        fitted(prompts=None)
    with pytest.raises(UsageError, match="cross-modal chooses C on validation"):
        fitted(val=None)
    with pytest.raises(UsageError, match="copies is 0"):
        CrossModal(copies=0)
