"""Tip-Adapter-F equals its formula with keys that a literal AdamW found; its epoch is chosen on validation."""

import json

import numpy as np
import pytest

from lpcm.adapters.prompts import unit
from lpcm.adapters.tip_adapter import TipAdapter
from lpcm.adapters.tip_adapter_f import TipAdapterF
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL
from .literal_training import literal_training, residual

F, Y, T = unit(TRAIN[0]), TRAIN[1], unit(PROMPTS.features)


def fitted(train=TRAIN, val=VAL, text=PROMPTS, key=0, **settings):
    return TipAdapterF(**settings).fit(*train, classes=CLASSES, key=Key.of(key), val=val, text=text)


def literal(queries, keys, alpha, beta):
    """Section 3.2 with a loop over queries and keys; the keys are used as they are."""
    logits = np.zeros((len(queries), CLASSES))
    for i, row in enumerate(queries.astype(np.float64)):
        f = row / np.sqrt(row @ row)
        logits[i] = 100 * T @ f
        for shot, label in zip(keys, Y, strict=True):
            logits[i, label] += alpha * np.exp(-beta * (1 - f @ shot))
    return logits


@check_adapter("tip-adapter-f")
def test_tip_adapter_f(check):
    check()


@pytest.mark.parametrize(("alpha", "beta"), [(1.17, 1.0), (20.0, 4.0)])
def test_logits_are_those_of_a_literal_training(alpha, beta):
    def gradient(parameters):
        (keys,) = parameters
        pull = residual(literal(TRAIN[0], keys, alpha, beta), Y)
        found = np.zeros_like(keys)
        for k, label in enumerate(Y):
            for i in range(len(Y)):
                found[k] += pull[i, label] * alpha * np.exp(-beta * (1 - F[i] @ keys[k])) * beta * F[i]
        return [found]

    (keys,) = literal_training([F], gradient, steps=9, lr=0.01, eps=1e-4, weight_decay=0.01)
    settings = {"alpha": alpha, "beta": beta, "epochs": 9, "lr": 0.01, "keep": "last"}
    logits = fitted(val=None, **settings).logits(TEST[0])
    # Training is float32 there and float64 here: 1e-7 a step, grown by Adam's division by small gradients.
    np.testing.assert_allclose(logits, literal(TEST[0], keys, alpha, beta), atol=2e-3)
    untrained = TipAdapter(alpha=alpha, beta=beta).fit(*TRAIN, classes=CLASSES, key=Key.of(0), text=PROMPTS)
    assert np.abs(logits - untrained.logits(TEST[0])).max() > 0.05  # training did something


def test_an_epoch_that_is_no_better_on_validation_is_not_kept():
    # A rate so large that training ruins the keys: what is kept is the untrained cache.
    tip = fitted(alpha=1.0, beta=5.0, lr=1e3)
    untrained = TipAdapter(alpha=1.0, beta=5.0).fit(*TRAIN, classes=CLASSES, key=Key.of(0), text=PROMPTS)
    assert tip.report()["epoch"] == 0
    # The keys went through float32.
    np.testing.assert_allclose(tip.logits(TEST[0]), untrained.logits(TEST[0]), atol=1e-5)


def test_validation_is_never_worse_than_without_training():
    trained = fitted(lr=0.01)
    plain = TipAdapter().fit(*TRAIN, classes=CLASSES, key=Key.of(0), val=VAL, text=PROMPTS)
    assert trained.report()["val_accuracy"] >= plain.report()["val_accuracy"]
    assert trained.report()["alpha_in_training"] == plain.report()["alpha"]


def test_batches_are_drawn_from_the_key():
    settings = {"alpha": 1.0, "beta": 5.0, "batch": 7, "keep": "last", "epochs": 3, "lr": 0.01}
    one, same, other = (fitted(key=key, **settings).logits(TEST[0]) for key in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def test_the_report_is_json_and_tells_the_epoch():
    report = fitted().report()
    assert json.loads(json.dumps(report)) == report
    assert 0 <= report["epoch"] <= report["epochs"] == 20


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="chooses alpha, beta and the epoch on validation"):
        fitted(val=None, alpha=1.0, beta=1.0)
    with pytest.raises(UsageError, match="epochs is 0"):
        TipAdapterF(epochs=0)
    with pytest.raises(UsageError, match="lr is -1"):
        TipAdapterF(lr=-1)
    with pytest.raises(UsageError, match="keep is 'best': expected 'validation' or 'last'"):
        TipAdapterF(keep="best")
