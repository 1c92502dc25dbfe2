"""CoOp equals its formula computed a second way; only the context learns; untrained it is zero-shot."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lpcm.adapters.coop import SPREAD, CoOp
from lpcm.adapters.prompt_map import in_space
from lpcm.adapters.prompts import unit
from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.none import Identity
from lpcm.disentanglers.whiten import Whiten
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts
from lpcm.testing import check_adapter
from lpcm.testing.text_tower import TinyTower

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL, D

TOWER = TinyTower(torch.from_numpy(unit(PROMPTS.features).astype(np.float32)), PROMPTS.classes)
TEXT = TextPrompts(unit(PROMPTS.features).astype(np.float32), PROMPTS.classes, lambda: TOWER)
F, Y = unit(TRAIN[0]), TRAIN[1]


def fitted(train=TRAIN, val=VAL, text=TEXT, key=0, **settings):
    return CoOp(**settings).fit(*train, classes=CLASSES, key=Key.of(key), val=val, text=text)


def tower(context):
    """The tiny tower's formula with a loop over classes, float64."""
    found = np.zeros((CLASSES, D))
    for c in range(CLASSES):
        own = context[c] if context.ndim == 3 else context
        v = unit(PROMPTS.features)[c] + np.tanh(own.mean(0) @ TOWER._inward.double().numpy()) / 2
        found[c] = v / np.sqrt(v @ v)
    return found


def literal(queries, context):
    return np.stack([[100 * f @ t for t in tower(context)] for f in unit(queries)])


def slope(context):
    """The gradient of the mean cross-entropy by central differences, one number of the context after the other."""

    def loss(at):
        logits = 100 * F @ tower(at).T
        shifted = logits - logits.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(Y)), Y]))

    found = np.zeros_like(context)
    for place in np.ndindex(context.shape):
        step = np.zeros_like(context)
        step[place] = 1e-5
        found[place] = (loss(context + step) - loss(context - step)) / 2e-5
    return found


@check_adapter("coop")
def test_coop(check):
    check()


@pytest.mark.parametrize("kind", ["unified", "class-specific"])
def test_logits_are_those_of_a_literal_training(kind):
    settings = {"m": 3, "context": kind, "epochs": 4, "lr": 0.02, "keep": "last", "weight_decay": 5e-4}
    start = TOWER.context_of("a photo of")
    made = fitted(val=None, phrase="a photo of", **settings)
    context = start.double().numpy()
    if kind == "class-specific":
        context = np.stack([context] * CLASSES)
    speed = np.zeros_like(context)
    for step in range(4):  # all rows a step: one of warm-up, three along the cosine
        rate = 1e-5 if step == 0 else 0.02 * (1 + np.cos(np.pi * (step - 1) / 3)) / 2
        speed = 0.9 * speed + slope(context) + 5e-4 * context
        context = context - rate * speed
    logits = made.logits(TEST[0])
    # float32 there; here float64 with differences that are off by 1e-10 relative: 1e-6 of a cosine, times 100.
    np.testing.assert_allclose(logits, literal(TEST[0], context), atol=2e-3)
    assert np.abs(logits - literal(TEST[0], start.double().numpy())).max() > 0.5  # training did something


def test_only_the_context_learns():
    kept = TOWER._directions.clone(), TOWER._inward.clone()
    made = fitted()
    assert made.report()["moved"] > 0
    assert torch.equal(TOWER._directions, kept[0])
    assert torch.equal(TOWER._inward, kept[1])
    assert TOWER._directions.grad is None


def test_without_training_it_is_zero_shot_with_the_phrase():
    made = fitted(phrase="a photo of a", epochs=1, lr=1e-30, keep="last")
    assert made.report()["moved"] == 0
    vectors = TOWER.encode(TOWER.context_of("a photo of a"), PROMPTS.classes).double().numpy()
    np.testing.assert_allclose(made.logits(TEST[0]), 100 * unit(TEST[0]) @ vectors.T, atol=1e-9)


def test_an_epoch_that_is_no_better_on_validation_is_not_kept():
    best, last = fitted(lr=1.0).report(), fitted(lr=1.0, keep="last").report()
    assert best["val_accuracy"] >= last["val_accuracy"]
    assert (-best["val_accuracy"], best["val_log_loss"]) < (-last["val_accuracy"], last["val_log_loss"])
    assert best["epoch"] < last["epoch"] == 50


def test_training_lowers_the_loss():
    assert fitted().report()["train_loss"] < fitted(lr=1e-6).report()["train_loss"] - 0.1


def test_the_context_and_the_batches_are_drawn_from_the_key():
    one, same, other = (fitted(key=key, epochs=3, batch=7).logits(TEST[0]) for key in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def test_no_global_generator_moves():
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    fitted(epochs=2, batch=7)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize(
    ("position", "m", "before"), [("end", 5, 5), ("middle", 5, 2), ("middle", 4, 2), ("end", None, 16)]
)
def test_the_tower_is_asked_for_the_name_in_its_place(position, m, before):
    asked = []

    class Listening(TinyTower):
        def encode(self, context, names, *, before=None, ending="."):
            asked.append((context.shape, tuple(names), before, ending))
            return super().encode(context, names, before=before, ending=ending)

    listening = Listening(TOWER._directions, PROMPTS.classes)
    fitted(text=replace(TEXT, tuner=lambda: listening), position=position, m=m, epochs=1)
    assert set(asked) == {(torch.Size([m or 16, 7]), PROMPTS.classes, before, ".")}


def test_a_drawn_context_has_the_published_spread():
    made = CoOp(m=997)._start(TOWER, CLASSES, type("Drawn", (), {"key": Key.of(3)}))
    # Standard deviation of a standard deviation of 7,000 draws: 0.8 %; four of these.
    assert float(made.std()) == pytest.approx(SPREAD, rel=0.034)


@pytest.mark.parametrize(("shots", "epochs"), [(1, 50), (2, 100), (4, 100), (8, 200), (13, 200)])
def test_published_epochs_follow_the_shots(shots, epochs):
    rows = TRAIN[0][: 5 * shots], TRAIN[1][: 5 * shots]
    made = fitted(rows, val=None, epochs=None, keep="last", m=1)
    assert made.report()["epochs"] == epochs


@pytest.mark.parametrize("kind", [Whiten, ICA])
def test_behind_a_linear_disentangler_the_tower_is_followed_by_its_map(kind):
    disentangler = kind(k=5, random_state=0).fit(TRAIN[0])
    mapped = in_space(TEXT, disentangler)
    tuner = mapped.tuner()
    context = TOWER.context_of("some words")
    literal = disentangler.transform(TOWER.encode(context, PROMPTS.classes).numpy())
    # The disentangler answers in float32.
    np.testing.assert_allclose(tuner.encode(context, PROMPTS.classes).numpy(), unit(literal), atol=1e-5)
    made = CoOp(epochs=3).fit(
        disentangler.transform(TRAIN[0]),
        Y,
        classes=CLASSES,
        key=Key.of(0),
        val=(disentangler.transform(VAL[0]), VAL[1]),
        text=mapped,
    )
    assert made.logits(disentangler.transform(TEST[0])).shape == (129, CLASSES)
    assert made.report()["moved"] > 0


def test_without_a_disentangler_the_tower_is_as_it_was():
    assert in_space(TEXT, Identity(random_state=0).fit(TRAIN[0])).tuner() is TOWER


def test_a_disentangler_that_is_not_linear_is_refused_with_the_reason():
    class Cubed:
        def transform(self, rows):
            return (rows**3).astype(np.float32)

    class Pretending(Cubed):
        mean_, components_ = np.zeros(D), np.eye(D)

    for kind, said in ((Cubed, "without mean_ and components_"), (Pretending, "so it is not linear")):
        mapped = in_space(TEXT, kind())  # an adapter that asks for no tower is not disturbed
        with pytest.raises(UsageError, match=said):
            fitted(text=mapped)


def test_prompts_without_a_tower_stay_without():
    assert in_space(PROMPTS, Whiten(k=5, random_state=0).fit(TRAIN[0])).tuner is None
    with pytest.raises(UsageError, match="hands out none to train through"):
        fitted(text=PROMPTS)


def test_the_report_is_json_and_tells_the_context():
    report = fitted(epochs=2, phrase="a photo", position="middle").report()
    assert json.loads(json.dumps(report)) == report
    assert (report["m"], report["start"], report["position"]) == (2, "a photo", "middle")
    assert 0 <= report["epoch"] <= report["epochs"] == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"m": 0}, "m is 0: expected a whole number of 1 or more"),
        ({"phrase": " "}, "phrase is ' ': expected words"),
        ({"m": 3, "phrase": "a photo of a"}, "m is 3, and the phrase 'a photo of a' has 4 tokens"),
        ({"context": "own"}, "context is 'own': expected 'unified' or 'class-specific'"),
        ({"position": "front"}, "position is 'front': expected 'end' or 'middle'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"val": None}, "chooses the epoch on validation rows"),
    ],
)
def test_what_cannot_be_is_refused(settings, said):
    with pytest.raises(UsageError, match=said):
        fitted(**settings)
