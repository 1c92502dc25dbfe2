"""Tip-Adapter equals its formula, and its grid is searched without evaluating it point by point."""

import json

import numpy as np
import pytest

from lpcm.adapters.cache import Cache
from lpcm.adapters.cache_search import (
    ALPHAS,
    BETAS,
    Grid,
    Search,
    Ties,
    choose_point,
    count_right,
    edge,
    make_grid,
    right_between,
)
from lpcm.adapters.prompts import unit
from lpcm.adapters.search import Edge
from lpcm.adapters.tip_adapter import TipAdapter
from lpcm.adapters.validation import standing
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL


def fitted(train=TRAIN, val=VAL, text=PROMPTS, **settings):
    return TipAdapter(**settings).fit(*train, classes=CLASSES, key=Key.of(0), val=val, text=text)


def literal(queries, alpha, beta, train=TRAIN):
    """The formula of section 3.1 with a loop for every index."""

    def normal(row):
        row = [float(v) for v in row]
        length = sum(v * v for v in row) ** 0.5
        return [v / length for v in row]

    keys, texts = [normal(row) for row in train[0]], [normal(row) for row in PROMPTS.features]
    logits = np.zeros((len(queries), CLASSES))
    for i, query in enumerate(queries):
        f = normal(query)
        for c in range(CLASSES):
            logits[i, c] = 100 * sum(a * b for a, b in zip(f, texts[c], strict=True))
        for shot, label in zip(keys, train[1], strict=True):
            affinity = sum(a * b for a, b in zip(f, shot, strict=True))
            logits[i, label] += alpha * np.exp(-beta * (1 - affinity))
    return logits


@check_adapter("tip-adapter")
def test_tip_adapter(check):
    check()


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (1.17, 5.5), (1000.0, 32.0)])
def test_logits_are_those_of_the_formula(alpha, beta):
    logits = fitted(alpha=alpha, beta=beta, val=None).logits(TEST[0])
    # Asked for: 1e-5. Both sides are float64, so what is left is rounding relative to alpha.
    np.testing.assert_allclose(logits, literal(TEST[0], alpha, beta), atol=1e-5, rtol=1e-9)


def test_unequal_shots_and_their_order_do_not_matter():
    rows = np.array([40, 3, 7, 11, 1, 2, 30, 21, 13])
    train = TRAIN[0][rows], TRAIN[1][rows]
    logits = fitted(train, alpha=2.0, beta=3.0).logits(TEST[0])
    np.testing.assert_allclose(logits, literal(TEST[0], 2.0, 3.0, train), atol=1e-9)  # float64 rounding


def test_the_published_grid_is_200_by_20_from_a_tenth():
    grid = make_grid(Search.PUBLISHED, None, None)
    assert (len(grid.betas), len(grid.alphas)) == (200, 20)
    assert grid.betas[0] == grid.alphas[0] == 0.1
    assert grid.betas[-1] == pytest.approx(7 - 6.9 / 200)
    assert grid.alphas[-1] == pytest.approx(3 - 2.9 / 20)


@pytest.mark.parametrize("search", list(Search))
def test_the_count_at_every_point_is_that_of_argmax(search):
    full = make_grid(search, None, None)
    grid = Grid(full.betas[::7], full.alphas, full.ties)
    cache = Cache.of(unit(TRAIN[0]), TRAIN[1], CLASSES)
    zero_shot = 100 * unit(VAL[0]) @ unit(PROMPTS.features).T
    right = count_right(zero_shot, cache, VAL[0], VAL[1], grid)
    for b, a in np.ndindex(len(grid.betas), len(grid.alphas)):
        logits = literal_grid(grid.alphas[a], grid.betas[b])
        assert right[b, a, 0] == (logits.argmax(1) == VAL[1]).sum()
    assert right.min() < right.max()  # settings matter here, or nothing was tested


def test_equal_logits_go_to_the_first_class_as_with_argmax():
    zero_shot, votes = np.array([[2.0, 2.0, 1.0]] * 3), np.array([[1.0, 1.0, 1.0]] * 3)
    low, high = right_between(zero_shot, votes, np.array([0, 1, 2]))
    assert (low < high).tolist() == [True, False, False]


def test_the_search_picks_the_best_accuracy_then_log_loss_then_the_first():
    tip = fitted()
    best = min(
        (standing(literal_grid(alpha, beta), VAL[1]), place)
        for place, (beta, alpha) in enumerate((b, a) for b in BETAS for a in ALPHAS)
    )
    report = tip.report()
    beta, alpha = BETAS[best[1] // len(ALPHAS)], ALPHAS[best[1] % len(ALPHAS)]
    assert (report["alpha"], report["beta"]) == (alpha, beta)
    assert report["val_accuracy"] == best[0].accuracy
    assert report["val_log_loss"] == pytest.approx(best[0].log_loss, abs=1e-9)  # float64 rounding


def literal_grid(alpha, beta):
    f, keys = unit(VAL[0]), unit(TRAIN[0])
    votes = np.exp(-beta * (1 - f @ keys.T)) @ np.eye(CLASSES)[TRAIN[1]]
    return 100 * f @ unit(PROMPTS.features).T + alpha * votes


def test_the_published_search_picks_the_first_of_the_best():
    grid = make_grid(Search.PUBLISHED, None, None)
    best, found = -1.0, None
    for beta in grid.betas:
        for alpha in grid.alphas:
            accuracy = np.mean(literal_grid(alpha, beta).argmax(1) == VAL[1])
            if accuracy > best:
                best, found = accuracy, (alpha, beta)
    report = fitted(search="published").report()
    assert (report["alpha"], report["beta"]) == found
    assert report["val_accuracy"] == pytest.approx(best)


def test_blocks_of_queries_do_not_change_the_choice(monkeypatch):
    whole = fitted()
    monkeypatch.setattr("lpcm.adapters.cache.BLOCK", 1)
    blocked = fitted()
    assert blocked.report()["alpha"] == whole.report()["alpha"]
    assert blocked.report()["beta"] == whole.report()["beta"]
    np.testing.assert_allclose(blocked.logits(TEST[0]), whole.logits(TEST[0]), rtol=1e-9)  # order of sums


def test_weightings_are_chosen_with_beta_and_alpha():
    cache = Cache.of(unit(TRAIN[0]), TRAIN[1], CLASSES)
    zero_shot = np.zeros((len(VAL[0]), CLASSES))
    backwards = -np.ones(len(TRAIN[0]))  # the nearest class loses
    grid = Grid((2.0,), (1.0,), Ties.LOG_LOSS)
    assert choose_point(zero_shot, cache, VAL[0], VAL[1], grid, [backwards, None]).weighting == 1


def test_rotating_images_and_prompts_changes_nothing():
    turn = np.linalg.qr(Key.of(4).generator().standard_normal((17, 17)))[0]
    text = type(PROMPTS)((PROMPTS.features @ turn).astype(np.float32), PROMPTS.classes)
    turned = [((X @ turn).astype(np.float32), y) for X, y in (TRAIN, VAL, TEST)]
    logits = fitted(turned[0], turned[1], text, alpha=1.0, beta=5.0).logits(turned[2][0])
    # Rotated rows are rounded to float32 (1e-7 of a cosine), times 100.
    np.testing.assert_allclose(logits, fitted(alpha=1.0, beta=5.0).logits(TEST[0]), atol=1e-4)


def test_a_class_without_shots_keeps_its_prompt():
    keep = TRAIN[1] != 3
    logits = fitted((TRAIN[0][keep], TRAIN[1][keep]), alpha=1.0, beta=1.0).logits(TEST[0])
    np.testing.assert_allclose(logits[:, 3], 100 * unit(TEST[0]) @ unit(PROMPTS.features)[3], atol=1e-9)


def test_the_report_is_json_and_tells_the_edges():
    report = fitted().report()
    assert json.loads(json.dumps(report)) == report
    assert report["alpha_at_edge"] in ("lower", "upper", "none")
    assert edge(BETAS[0], BETAS) is Edge.LOWER
    assert edge(BETAS[-1], BETAS) is Edge.UPPER
    assert edge(BETAS[3], BETAS) is edge(1.0, (1.0,)) is Edge.NONE


def test_selection_says_what_was_chosen_and_how():
    assert fitted(alpha=2.0, beta=3.0, val=None).selection == "alpha fixed at 2, beta at 3"
    assert "200 beta x 20 alpha" in fitted(search="published").selection
    assert "log-loss" in fitted().selection


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="chooses alpha and beta on validation"):
        fitted(val=None, alpha=1.0)
    with pytest.raises(UsageError, match="reads no text"):
        fitted(text=None)
    with pytest.raises(UsageError, match="beta is 0"):
        TipAdapter(beta=0)
    with pytest.raises(UsageError, match="search is 'all': expected 'wide' or 'published'"):
        TipAdapter(search="all")
    with pytest.raises(DataError, match="no labelled rows"):
        fitted((TRAIN[0][:0], TRAIN[1][:0]))
