"""APE-T equals its formula with residuals and weights that a literal AdamW found."""

import json

import numpy as np
import pytest

from lpcm.adapters.ape_t import APETrained
from lpcm.adapters.channels import criterion
from lpcm.adapters.prompts import unit
from lpcm.adapters.tip_adapter import TipAdapter
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL, D
from .literal_training import literal_training, residual

F, Y, T = unit(TRAIN[0]), TRAIN[1], unit(PROMPTS.features)


def fitted(train=TRAIN, val=VAL, text=PROMPTS, key=0, **settings):
    return APETrained(**settings).fit(*train, classes=CLASSES, key=Key.of(key), val=val, text=text)


def literal(f, R, weights, kept, alpha, beta):
    """One unit query through the formula: logits, and what each key adds to its class."""
    V, votes = T.copy(), np.zeros(len(Y))
    for c in range(CLASSES):
        for place, k in enumerate(kept):
            V[c, k] += R[c, place]
    logits = np.array([100 * (f @ V[c]) for c in range(CLASSES)])
    for i, label in enumerate(Y):
        shot = F[i].copy()
        for place, k in enumerate(kept):
            shot[k] += R[label, place]
        votes[i] = alpha * np.exp(-beta * (1 - f @ shot))
        logits[label] += weights[i] * votes[i]
    return logits, votes


@check_adapter("ape-t")
def test_ape_t(check):
    check()


@pytest.mark.parametrize(("alpha", "beta", "share"), [(1.0, 1.0, 0.5), (10.0, 4.0, 1.0)])
def test_logits_are_those_of_a_literal_training(alpha, beta, share):
    kept = sorted(sorted(range(D), key=lambda k: -criterion(T, 0.2)[k])[: round(share * D)])

    def gradient(parameters):
        R, weights = parameters
        passes = [literal(f, R, weights, kept, alpha, beta) for f in F]
        pull = residual(np.stack([logits for logits, _ in passes]), Y)
        d_R, d_weights = np.zeros_like(R), np.zeros_like(weights)
        for i, (_, votes) in enumerate(passes):
            f = F[i][kept]
            for c in range(CLASSES):
                d_R[c] += 100 * pull[i, c] * f
            for k, label in enumerate(Y):
                d_R[label] += pull[i, label] * weights[k] * votes[k] * beta * f
                d_weights[k] += pull[i, label] * votes[k]
        return [d_R, d_weights]

    starts = [np.zeros((CLASSES, len(kept))), np.ones(len(Y))]
    settings = {"lr": 0.01, "weight_decay": 0.1}
    R, weights = literal_training(starts, gradient, steps=6, eps=1e-3, **settings)
    fixed = {"alpha": alpha, "beta": beta, "share": share, "epochs": 6, "keep": "last"}
    made = fitted(val=None, **fixed, **settings)
    assert made.report()["features"] == len(kept)
    expected = np.stack([literal(f, R, weights, kept, alpha, beta)[0] for f in unit(TEST[0])])
    # float32 there, float64 here: 1e-7 of a cosine, times 100, over six steps that Adam scales to one size.
    np.testing.assert_allclose(made.logits(TEST[0]), expected, atol=5e-3)
    untrained = np.stack([literal(f, *starts, kept, alpha, beta)[0] for f in unit(TEST[0])])
    assert np.abs(made.logits(TEST[0]) - untrained).max() > 0.5  # training did something


def test_an_epoch_that_is_no_better_on_validation_is_not_kept():
    # Shots with wrong labels: each step makes validation worse, so the untrained cache is kept.
    train = TRAIN[0], (TRAIN[1] + 1) % CLASSES
    made = fitted(train, alpha=1.0, beta=5.0, share=0.5, lr=0.05, epochs=3)
    tip = TipAdapter(alpha=1.0, beta=5.0).fit(*train, classes=CLASSES, key=Key.of(0), text=PROMPTS)
    assert made.report()["epoch"] == 0
    # The keys and prompts went through float32, times 100.
    np.testing.assert_allclose(made.logits(TEST[0]), tip.logits(TEST[0]), atol=1e-4)


def test_validation_is_never_worse_than_without_training():
    tip = TipAdapter().fit(*TRAIN, classes=CLASSES, key=Key.of(0), val=VAL, text=PROMPTS)
    for settings in ({}, {"lr": 0.05}, {"lr": 1e3}):
        assert fitted(**settings).report()["val_accuracy"] >= tip.report()["val_accuracy"]


def test_the_share_is_the_best_on_validation():
    chosen = fitted(lr=0.02).report()
    alone = [fitted(share=share, lr=0.02).report() for share in (0.25, 0.5, 0.75, 1.0)]
    assert chosen == min(alone, key=lambda report: (-report["val_accuracy"], report["val_log_loss"]))


def test_batches_are_drawn_from_the_key():
    settings = {"alpha": 1.0, "beta": 5.0, "share": 0.5, "batch": 7, "keep": "last", "epochs": 3}
    one, same, other = (fitted(key=key, **settings).logits(TEST[0]) for key in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def test_the_report_is_json():
    report = fitted(epochs=3).report()
    assert json.loads(json.dumps(report)) == report


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="chooses alpha, beta, the share of features and the epoch"):
        fitted(val=None)
    with pytest.raises(UsageError, match="share is 0"):
        APETrained(share=0)
    with pytest.raises(DataError, match="no labelled rows"):
        fitted((TRAIN[0][:0], TRAIN[1][:0]))
    one = TextPrompts(PROMPTS.features[:1], ("a",))
    with pytest.raises(DataError, match="1 class: expected 2 or more"):
        APETrained().fit(TRAIN[0], 0 * TRAIN[1], classes=1, key=Key.of(0), val=VAL, text=one)
