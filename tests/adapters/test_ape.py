"""APE equals its formula, and keeps the features that its criterion ranks first."""

import json

import numpy as np
import pytest

from lpcm.adapters.ape import APE
from lpcm.adapters.channels import best_features, criterion, similarity
from lpcm.adapters.prompts import unit
from lpcm.adapters.tip_adapter import TipAdapter
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL, D

F, Y, T = unit(TRAIN[0]), TRAIN[1], unit(PROMPTS.features)


def fitted(train=TRAIN, val=VAL, text=PROMPTS, **settings):
    return APE(**settings).fit(*train, classes=CLASSES, key=Key.of(0), val=val, text=text)


def normal(row):
    return row / sum(float(v) ** 2 for v in row) ** 0.5


def literal_criterion(rows, labels, weight):
    """The criterion with a loop over features and pairs."""
    scores = np.zeros(D)
    for k in range(D):
        total, pairs = 0.0, 0
        for i in range(len(rows)):
            for j in range(len(rows)):
                if labels[i] != labels[j]:
                    total += rows[i, k] * rows[j, k]
                    pairs += 1
        mean = sum(T[c, k] for c in range(CLASSES)) / CLASSES
        variance = sum((T[c, k] - mean) ** 2 for c in range(CLASSES)) / (CLASSES - 1)
        scores[k] = -weight * total / pairs + (1 - weight) * variance
    return scores


def literal(queries, kept, alpha, beta, gamma):
    """Training-free APE with a loop over queries, keys and classes."""
    R = [normal(T[c][kept]) for c in range(CLASSES)]
    keys = [normal(row[kept]) for row in F]
    logits = np.zeros((len(queries), CLASSES))
    for i, query in enumerate(queries.astype(np.float64)):
        f = normal(query)
        r = normal(f[kept])
        for c in range(CLASSES):
            logits[i, c] = 100 * (f @ T[c])
        for shot, label in zip(keys, Y, strict=True):
            p = np.array([np.exp(shot @ R[c]) for c in range(CLASSES)])
            p /= p.sum()
            divergence = 0.0
            for c in range(CLASSES):
                one_hot = float(c == label)
                divergence += one_hot * np.log2((one_hot + 1e-6) / (p[c] + 1e-6))
            logits[i, label] += alpha * np.exp(-beta * (1 - r @ shot)) * np.exp(gamma * divergence)
    return logits


@check_adapter("ape")
def test_ape(check):
    check()


@pytest.mark.parametrize("weight", [0.0, 0.7, 1.0])
def test_the_criterion_is_that_of_a_loop_over_pairs(weight):
    rows, labels = np.concatenate([T, F]), np.concatenate([np.arange(CLASSES), Y])
    # float64: the closed form subtracts sums of up to 70^2 products
    expected = literal_criterion(rows, labels, weight)
    np.testing.assert_allclose(criterion(T, weight, (F, Y)), expected, atol=1e-12)
    alone = literal_criterion(T, np.arange(CLASSES), weight)
    np.testing.assert_allclose(criterion(T, weight), alone, atol=1e-12)


def test_similarity_of_unequal_classes_counts_pairs():
    rows, labels = F[:9], np.array([0, 0, 0, 0, 1, 1, 3, 3, 3])
    pairs = [(i, j) for i in range(9) for j in range(9) if labels[i] != labels[j]]
    expected = np.mean([rows[i] * rows[j] for i, j in pairs], axis=0)
    np.testing.assert_allclose(similarity(rows, labels, CLASSES), expected, atol=1e-14)


@pytest.mark.parametrize(("share", "gamma"), [(0.5, 0.2), (1.0, 0.0), (0.01, 1.5)])
def test_logits_are_those_of_the_formula(share, gamma):
    ape = fitted(alpha=1.5, beta=4.0, gamma=gamma, share=share, val=None)
    rows, labels = np.concatenate([T, F]), np.concatenate([np.arange(CLASSES), Y])
    ranked = sorted(range(D), key=lambda k: -literal_criterion(rows, labels, 0.7)[k])
    kept = sorted(ranked[: max(round(share * D), 1)])
    assert ape.report()["features"] == len(kept)
    # float64 on both sides
    np.testing.assert_allclose(ape.logits(TEST[0]), literal(TEST[0], kept, 1.5, 4.0, gamma), atol=1e-9)


def test_all_features_and_no_gamma_is_tip_adapter():
    ape = fitted(alpha=2.0, beta=3.0, gamma=0.0, share=1.0, val=None)
    tip = TipAdapter(alpha=2.0, beta=3.0).fit(*TRAIN, classes=CLASSES, key=Key.of(0), text=PROMPTS)
    np.testing.assert_allclose(ape.logits(TEST[0]), tip.logits(TEST[0]), atol=1e-9)


def test_features_that_say_nothing_of_the_class_are_left_out():
    # Eight features on which all rows and prompts agree, beside the seventeen that tell classes apart.
    def widened(rows):
        return np.hstack([np.full((len(rows), 8), 2, np.float32), rows])

    scores = criterion(unit(widened(T)), 0.7, (unit(widened(F)), Y))
    assert best_features(scores, 17 / 25).min() == 8


def test_settings_are_the_best_on_validation_over_all_shares():
    chosen = fitted().report()
    alone = [fitted(share=share).report() for share in (0.25, 0.5, 0.75, 1.0)]
    assert chosen["val_accuracy"] == max(report["val_accuracy"] for report in alone)
    assert chosen == min(alone, key=lambda report: (-report["val_accuracy"], report["val_log_loss"]))


def test_gamma_is_part_of_the_choice():
    wins = {g: fitted(gamma=g, share=0.5).report() for g in (0.0, 0.1, 0.2, 0.4, 0.8)}
    best = min(wins.values(), key=lambda r: (-r["val_accuracy"], r["val_log_loss"]))
    found = fitted(share=0.5).report()
    assert found["val_accuracy"] == best["val_accuracy"]
    assert found["val_log_loss"] == pytest.approx(best["val_log_loss"], abs=1e-12)


def test_the_published_search_has_its_twenty_gammas_and_the_first_of_equals():
    narrow = fitted(search="published", share=0.5, beta=1.0)
    assert "1 beta x 20 alpha x 20 gamma" in narrow.selection
    zero_shot = 100 * unit(VAL[0]) @ T.T
    best, found = -1.0, None
    for i in range(20):
        alpha = 0.1 + i * 6.9 / 20
        for j in range(20):
            ape = fitted(alpha=alpha, beta=1.0, gamma=j / 20, share=0.5, val=None)
            accuracy = np.mean(ape.logits(VAL[0]).argmax(1) == VAL[1])
            if accuracy > best:
                best, found = accuracy, (alpha, j / 20)
    assert best > np.mean(zero_shot.argmax(1) == VAL[1])  # the cache matters, or nothing was tested
    assert (narrow.report()["alpha"], narrow.report()["gamma"]) == found


def test_the_report_is_json():
    report = fitted().report()
    assert json.loads(json.dumps(report)) == report


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="chooses alpha, beta, gamma and the share"):
        fitted(val=None)
    with pytest.raises(UsageError, match=r"share is 1\.5"):
        APE(share=1.5)
    with pytest.raises(UsageError, match="weight is -1"):
        APE(weight=-1)
    with pytest.raises(UsageError, match="gamma is -1"):
        APE(gamma=-1)
    one = TextPrompts(PROMPTS.features[:1], ("a",))
    with pytest.raises(DataError, match="1 class: expected 2 or more"):
        APE().fit(TRAIN[0], 0 * TRAIN[1], classes=1, key=Key.of(0), val=VAL, text=one)
