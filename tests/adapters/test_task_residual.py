"""TaskRes equals its formula with a residual that a literal Adam found; alpha and epoch are chosen on validation."""

import json

import numpy as np
import pytest

from lpcm.adapters.prompts import unit
from lpcm.adapters.task_residual import ALPHAS, TaskResidual
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL
from .literal_training import literal_training, residual

F, Y, T = unit(TRAIN[0]), TRAIN[1], unit(PROMPTS.features)


def fitted(train=TRAIN, val=VAL, text=PROMPTS, key=0, **settings):
    return TaskResidual(**settings).fit(*train, classes=CLASSES, key=Key.of(key), val=val, text=text)


def literal(queries, moved):
    """Cosine with a loop over queries and classes, times 100."""
    logits = np.zeros((len(queries), CLASSES))
    for i, f in enumerate(queries.astype(np.float64)):
        for c in range(CLASSES):
            logits[i, c] = 100 * (f @ moved[c]) / np.sqrt(f @ f * (moved[c] @ moved[c]))
    return logits


@check_adapter("taskres")
def test_taskres(check):
    check()


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_logits_are_those_of_a_literal_training(alpha):
    def gradient(parameters):
        (R,) = parameters
        moved = T + alpha * R
        pull = residual(literal(TRAIN[0], moved), Y)
        found = np.zeros_like(R)
        for c in range(CLASSES):
            length = np.sqrt(moved[c] @ moved[c])
            v = moved[c] / length
            toward = sum(100 * pull[i, c] * F[i] for i in range(len(Y)))
            found[c] = (
                alpha * (toward - (toward @ v) * v) / length
            )  # what changes only the length does nothing
        return [found]

    settings = {"lr": 0.01, "weight_decay": 0.003}
    (R,) = literal_training([0 * T], gradient, steps=9, eps=1e-8, decoupled=False, **settings)
    logits = fitted(val=None, alpha=alpha, epochs=9, keep="last", **settings).logits(TEST[0])
    # float32 there, float64 here: 1e-7 of a cosine, times 100, over nine steps that Adam scales to one size.
    np.testing.assert_allclose(logits, literal(TEST[0], T + alpha * R), atol=5e-3)
    assert np.abs(logits - literal(TEST[0], T)).max() > 0.5  # training did something


def test_an_epoch_that_is_no_better_on_validation_is_not_kept():
    # Shots with wrong labels: each step makes validation worse, so zero-shot is kept.
    made = fitted((TRAIN[0], (TRAIN[1] + 1) % CLASSES), lr=0.05, epochs=3)
    assert made.report()["epoch"] == 0
    # The vectors are float64 still: no residual was added.
    np.testing.assert_allclose(made.logits(TEST[0]), literal(TEST[0], T), atol=1e-9)


def test_alpha_is_the_best_on_validation():
    settings = {"epochs": 5, "lr": 0.02}
    alone = [fitted(alpha=alpha, **settings).report() for alpha in ALPHAS]
    best = min(alone, key=lambda report: (-report["val_accuracy"], report["val_log_loss"]))
    assert fitted(**settings).report() == best


def test_training_improves_on_prompts_that_are_wrong():
    swapped = type(PROMPTS)(np.roll(PROMPTS.features, 1, axis=0), PROMPTS.classes)
    accuracy = np.mean(fitted(text=swapped, lr=0.05).logits(TEST[0]).argmax(1) == TEST[1])
    assert accuracy > 0.5  # zero-shot with these is below chance


def test_batches_are_drawn_from_the_key():
    settings = {"alpha": 0.5, "batch": 7, "keep": "last", "epochs": 3}
    one, same, other = (fitted(key=key, **settings).logits(TEST[0]) for key in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def test_the_report_is_json():
    report = fitted(epochs=3).report()
    assert json.loads(json.dumps(report)) == report


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="chooses alpha and the epoch on validation"):
        fitted(val=None)
    with pytest.raises(UsageError, match="alpha is to be one of"):
        TaskResidual(alpha=0)
    with pytest.raises(UsageError, match="weight_decay is -1"):
        TaskResidual(weight_decay=-1)
    with pytest.raises(DataError, match="no labelled rows"):
        fitted((TRAIN[0][:0], TRAIN[1][:0]))
