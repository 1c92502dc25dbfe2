"""CLIP-Adapter equals its formula with layers that a literal AdamW found; ratio and epoch are chosen on validation."""

import json

import numpy as np
import pytest
import torch

from lpcm.adapters.clip_adapter import RATIOS, CLIPAdapter, start
from lpcm.adapters.prompts import unit
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL, D
from .literal_training import literal_training, residual

F, Y, T = unit(TRAIN[0]), TRAIN[1], unit(PROMPTS.features)


def fitted(train=TRAIN, val=VAL, text=PROMPTS, key=0, **settings):
    return CLIPAdapter(**settings).fit(*train, classes=CLASSES, key=Key.of(key), val=val, text=text)


def literal(f, inward, outward, ratio):
    """One unit query through the formula, with a loop for every layer: the hidden layer, the blend, the logits."""
    hidden = np.array([max(sum(f[i] * inward[i, j] for i in range(D)), 0) for j in range(inward.shape[1])])
    made = np.array([max(sum(hidden[j] * outward[j, i] for j in range(len(hidden))), 0) for i in range(D)])
    g = ratio * made + (1 - ratio) * f
    length = sum(v * v for v in g) ** 0.5
    return hidden, g, np.array([100 * (g @ T[c]) / length for c in range(CLASSES)])


@check_adapter("clip-adapter")
def test_clip_adapter(check):
    check()


@pytest.mark.parametrize("ratio", [0.2, 0.7])
def test_logits_are_those_of_a_literal_training(ratio):
    def gradient(parameters):
        inward, outward = parameters
        passes = [literal(f, inward, outward, ratio) for f in F]
        pull = residual(np.stack([logits for _, _, logits in passes]), Y)
        d_inward, d_outward = np.zeros_like(inward), np.zeros_like(outward)
        for i, (hidden, g, _) in enumerate(passes):
            length = np.sqrt(g @ g)
            toward = 100 * pull[i] @ T
            d_g = (toward - (toward @ g) * g / length**2) / length
            d_made = ratio * d_g * (hidden @ outward > 0)
            d_outward += np.outer(hidden, d_made)
            d_inward += np.outer(F[i], (outward @ d_made) * (hidden > 0))
        return [d_inward, d_outward]

    layers = [layer.detach().double().numpy() for layer in start(D, 4, Key.of(0))]
    settings = {"lr": 0.01, "weight_decay": 0.02}
    inward, outward = literal_training(layers, gradient, steps=7, eps=1e-8, **settings)
    logits = fitted(val=None, ratio=ratio, epochs=7, keep="last", **settings).logits(TEST[0])
    expected = np.stack([literal(f, inward, outward, ratio)[2] for f in unit(TEST[0])])
    # float32 there, float64 here: 1e-7 of a cosine, times 100, over seven steps that Adam scales to one size.
    np.testing.assert_allclose(logits, expected, atol=2e-2)
    untrained = np.stack([literal(f, *layers, ratio)[2] for f in unit(TEST[0])])
    assert np.abs(logits - untrained).max() > 1  # training did something


def test_an_epoch_that_is_no_better_on_validation_is_not_kept():
    # Shots with wrong labels: each step makes validation worse, so the drawn layers are kept.
    made = fitted((TRAIN[0], (TRAIN[1] + 1) % CLASSES), ratio=0.2, lr=0.05, epochs=3)
    assert made.report()["epoch"] == 0
    layers = [layer.detach().double().numpy() for layer in start(D, 4, Key.of(0))]
    expected = np.stack([literal(f, *layers, 0.2)[2] for f in unit(TEST[0])])
    np.testing.assert_allclose(made.logits(TEST[0]), expected, atol=1e-9)  # float64 on both sides


def test_the_ratio_is_the_best_on_validation():
    settings = {"epochs": 5, "lr": 0.02}
    alone = [fitted(ratio=ratio, **settings).report() for ratio in RATIOS]
    best = min(alone, key=lambda report: (-report["val_accuracy"], report["val_log_loss"]))
    assert fitted(**settings).report() == best


def test_training_improves_on_prompts_that_are_wrong():
    swapped = type(PROMPTS)(np.roll(PROMPTS.features, 1, axis=0), PROMPTS.classes)
    before = np.mean((unit(TEST[0]) @ unit(swapped.features).T).argmax(1) == TEST[1])
    after = np.mean(fitted(text=swapped, lr=0.05).logits(TEST[0]).argmax(1) == TEST[1])
    assert after > before + 0.2


def test_the_start_and_the_batches_are_drawn_from_the_key():
    settings = {"ratio": 0.5, "batch": 7, "keep": "last", "epochs": 3}
    one, same, other = (fitted(key=key, **settings).logits(TEST[0]) for key in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def test_layers_start_as_those_of_torch():
    inward, outward = start(4096, 4, Key.of(0))
    assert inward.shape == (4096, 1024)
    assert outward.shape == (1024, 4096)
    for layer, inputs in ((inward, 4096), (outward, 1024)):
        assert layer.abs().max() <= inputs**-0.5
        # A uniform draw within +-b has variance b^2 / 3; 4 million of them give it to 0.1 %.
        assert layer.var().item() == pytest.approx(1 / inputs / 3, rel=0.01)
    assert start(3, 4, Key.of(0))[0].shape == (3, 1)
    assert torch.equal(*(start(D, 4, Key.of(1))[0] for _ in range(2)))


def test_the_report_is_json():
    report = fitted(epochs=3).report()
    assert json.loads(json.dumps(report)) == report
    assert report["hidden"] == D // 4


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="chooses the ratio and the epoch on validation"):
        fitted(val=None)
    with pytest.raises(UsageError, match="ratio is to be one of"):
        CLIPAdapter(ratio=1.0)
    with pytest.raises(UsageError, match="reduction is 0"):
        CLIPAdapter(reduction=0)
    with pytest.raises(DataError, match="no labelled rows"):
        fitted((TRAIN[0][:0], TRAIN[1][:0]))
