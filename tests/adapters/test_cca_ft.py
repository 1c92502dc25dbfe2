"""CCA-FT trains what CCA leaves alone, keeps the epoch that validation likes best, and repeats for a key."""

import json

import numpy as np
import pytest
import torch

from lpcm.adapters.cca import CCA
from lpcm.adapters.cca_ft import CCAFT
from lpcm.adapters.prompts import unit
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL
from .test_cca import FIXED, literal

QUICK = {"epochs": 5, "lr": 0.01, "lr_text": 0.003, "unmix": "whiten"}


def fitted(kind=CCAFT, train=TRAIN, val=VAL, prompts=PROMPTS, key=0, **settings):
    return kind(**settings).fit(*train, classes=CLASSES, key=Key.of(key), val=val, text=prompts)


@check_adapter("cca-ft")
def test_it_keeps_the_promises_of_an_adapter(check):
    check()


def test_logits_are_the_literal_formula_with_what_was_trained():
    adapter = fitted(**QUICK, **FIXED)
    T, R = adapter._model.classifier, adapter._model.turn
    assert adapter.report()["epoch"] > 0
    assert np.abs(R - np.eye(len(R))).max() > 1e-3
    assert np.abs(T - unit(PROMPTS.features)).max() > 1e-3
    logits = adapter.logits(TEST[0])
    for i, f in enumerate(unit(TEST[0])[:15]):
        # float64 from here on; logits of order 100
        np.testing.assert_allclose(logits[i], literal(f, T=T, R=R, **FIXED), rtol=0, atol=1e-9)


def test_without_learning_it_is_cca():
    still = {"lr": 0.0, "lr_text": 0.0, "unmix": "whiten", "epochs": 2, **FIXED}
    untrained = fitted(CCA, **FIXED).logits(TEST[0])
    adapter = fitted(**still)
    assert adapter.report()["epoch"] == 0
    # The trained parameters pass through float32.
    np.testing.assert_allclose(adapter.logits(TEST[0]), untrained, rtol=0, atol=1e-4)


def test_one_full_batch_step_is_the_step_of_adamw_on_the_written_loss():
    adapter = CCAFT(epochs=1, lr=0.01, lr_text=0.003, unmix="whiten", batch=1000, l1=1e-3, **FIXED)
    seen = {}
    inner = adapter._forward

    def spy(model, F, y, turn, classifier, queries=None):
        seen["turn"], seen["classifier"] = turn, classifier
        return inner(model, F, y, turn, classifier, queries)

    adapter._forward = spy
    adapter.fit(*TRAIN, classes=CLASSES, key=Key.of(0), val=VAL, text=PROMPTS)
    # The slope by differences of the literal loss (symmetric, so that the corner of |R| at 0 has slope 0, as in
    # torch); AdamW's first step is lr * (slope / (|slope| + eps) + 0.01 * R).
    k = len(seen["turn"])

    def loss(R):
        z = np.array([literal(f, R=R, **FIXED) for f in unit(TRAIN[0])])
        z = z - z.max(1, keepdims=True)
        cross = np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), TRAIN[1]]
        return cross.mean() + 1e-3 * np.abs(R).sum()

    for a, b in ((0, 0), (1, 3)):
        step = np.zeros((k, k))
        step[a, b] = 1e-5
        slope = (loss(np.eye(k) + step) - loss(np.eye(k) - step)) / 2e-5
        start = float(a == b)
        expected = start * (1 - 0.01 * 0.01) - 0.01 * slope / (abs(slope) + 1e-4)
        # The step has length lr = 0.01; float32 and finite differences leave 1 % of it.
        assert float(seen["turn"].detach()[a, b]) == pytest.approx(expected, abs=1e-4)


def test_the_same_key_gives_the_same_bits_and_another_key_other_batches():
    settings = {**QUICK, **FIXED, "batch": 17}
    one = fitted(**settings).logits(TEST[0])
    np.testing.assert_array_equal(one, fitted(**settings).logits(TEST[0]))
    assert np.abs(one - fitted(key=1, **settings).logits(TEST[0])).max() > 0


def test_the_epoch_is_the_best_on_validation_rows():
    long = fitted(**{**QUICK, **FIXED, "epochs": 8, "batch": 1000})
    kept = long.report()["epoch"]
    accuracies = []
    for epochs in range(1, 9):
        one = fitted(**{**QUICK, **FIXED, "epochs": epochs, "batch": 1000})
        accuracies.append(np.mean(one.logits(VAL[0]).argmax(1) == VAL[1]))
    # Longer trainings contain the shorter ones, so the best can only get better, and ends at what was kept.
    assert accuracies == sorted(accuracies)
    assert np.mean(long.logits(VAL[0]).argmax(1) == VAL[1]) == accuracies[kept - 1]


def test_the_report_is_json_and_says_how_it_chose():
    adapter = fitted(**QUICK)
    report = adapter.report()
    assert json.loads(json.dumps(report)) == report
    assert "epoch: validation" in adapter.selection
    assert report["val_accuracy"] >= np.mean(fitted(**QUICK, **FIXED).logits(VAL[0]).argmax(1) == VAL[1])


def test_no_global_generator_is_touched():
    before = torch.random.get_rng_state()
    fitted(**QUICK, **FIXED)
    assert torch.equal(before, torch.random.get_rng_state())


def test_what_is_missing_is_named():
    with pytest.raises(UsageError, match="cca-ft needs text"):
        fitted(prompts=None)
    with pytest.raises(UsageError, match="cca-ft chooses the epoch on validation"):
        fitted(val=None, unmix="none", **FIXED)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"epochs": 0}, "epochs is 0"), ({"lr": -1.0}, "lr is -1"), ({"beta": -1.0}, "beta")],
)
def test_wrong_settings_say_what_is_expected(settings, message):
    with pytest.raises(UsageError, match=message):
        CCAFT(**settings)
