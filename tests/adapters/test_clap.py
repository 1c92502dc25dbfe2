"""CLAP trains prototypes from the class vectors, held near them class by class, and never looks at validation."""

import json
import math

import numpy as np
import pytest

from lpcm.adapters.clap import CLAP, hold
from lpcm.adapters.prompts import unit
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL


def fitted(train=TRAIN, val=None, prompts=PROMPTS, key=0, **settings):
    settings = {"epochs": 7, **settings}
    return CLAP(**settings).fit(*train, classes=CLASSES, key=Key.of(key), val=val, text=prompts)


@check_adapter("clap")
def test_it_keeps_the_promises_of_an_adapter(check):
    check()


def literal(epochs, lr):
    """Prototypes after full-batch descent with the slope written out, in float64."""
    F, T, y = unit(TRAIN[0]), unit(PROMPTS.features), TRAIN[1]
    n = len(F)
    lambdas = hold(F, y, T)
    W, speed = T.copy(), np.zeros_like(T)
    for epoch in range(epochs):
        rate = 1e-5 if epoch == 0 else lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
        slope = 2 * lambdas[:, None] * (W - T) / CLASSES
        for f, label in zip(F, y, strict=True):
            cosines = np.array([f @ w / np.linalg.norm(w) for w in W])
            p = np.exp(100 * (cosines - cosines.max()))
            p /= p.sum()
            for c, w in enumerate(W):
                size = np.linalg.norm(w)
                turn = f / size - (f @ w) * w / size**3
                slope[c] += 100 * (p[c] - (c == label)) * turn / n
        speed = 0.9 * speed + slope
        W = W - rate * speed
    return W


def test_logits_are_the_literal_formula_after_literal_steps():
    W = literal(5, 0.01)
    logits = fitted(epochs=5, lr=0.01).logits(TEST[0])
    for i, f in enumerate(unit(TEST[0])):
        for c in range(CLASSES):
            # float32 training: logits of order 100, five steps
            assert logits[i, c] == pytest.approx(100 * f @ W[c] / np.linalg.norm(W[c]), abs=2e-3)


def test_a_class_is_held_by_what_zero_shot_gives_it():
    F, T = unit(TRAIN[0]), unit(PROMPTS.features)
    keep = TRAIN[1] != 3
    multipliers = hold(F[keep], TRAIN[1][keep], T)
    for c in range(CLASSES):
        rows = F[TRAIN[1] == c]
        scores = [[math.exp(100 * (f @ t) - 100) for t in T] for f in rows]
        expected = 1.0 if c == 3 else np.mean([s[c] / sum(s) for s in scores])
        assert multipliers[c] == pytest.approx(expected, rel=1e-9)


def test_validation_rows_change_nothing():
    assert "no validation row" in CLAP.selection
    np.testing.assert_array_equal(fitted(val=VAL).logits(TEST[0]), fitted(val=None).logits(TEST[0]))


def test_it_learns_from_shots_and_batches_come_from_the_key():
    start = np.mean((unit(TEST[0]) @ unit(PROMPTS.features).T).argmax(1) == TEST[1])
    one = fitted(epochs=60, batch=17)
    assert np.mean(one.logits(TEST[0]).argmax(1) == TEST[1]) > start + 0.1
    np.testing.assert_array_equal(one.logits(TEST[0]), fitted(epochs=60, batch=17).logits(TEST[0]))
    assert np.abs(one.logits(TEST[0]) - fitted(epochs=60, batch=17, key=1).logits(TEST[0])).max() > 0


def test_a_class_without_rows_keeps_its_prompt():
    keep = TRAIN[1] != 3
    one = fitted((TRAIN[0][keep], TRAIN[1][keep]), epochs=30)
    assert np.isfinite(one.logits(TEST[0])).all()
    assert json.loads(json.dumps(one.report())) == one.report()


def test_what_is_missing_is_named():
    with pytest.raises(UsageError, match="clap needs text"):
        fitted(prompts=None)
    with pytest.raises(DataError, match="no labelled rows"):
        fitted((TRAIN[0][:0], TRAIN[1][:0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"epochs": 0}, "epochs is 0"), ({"batch": 0}, "batch"), ({"lr": 0.0}, "lr is 0")],
)
def test_wrong_settings_say_what_is_expected(settings, message):
    with pytest.raises(UsageError, match=message):
        CLAP(**settings)
