"""CCA adds unmixed votes and two attention terms to zero-shot; untrained, it cannot tell ICA from whitening."""

import json

import numpy as np
import pytest

from lpcm.adapters.cca import ALPHAS, BETAS, CCA, FUSION_START, FUSIONS
from lpcm.adapters.cca_model import min_max
from lpcm.adapters.prompts import unit
from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.whiten import Whiten
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL, D

FIXED = {"alpha": 3.0, "beta": 1.7, "gamma": 0.3, "eta": 0.2}


def fitted(train=TRAIN, val=VAL, prompts=PROMPTS, **settings):
    return CCA(**settings).fit(*train, classes=CLASSES, key=Key.of(0), val=val, text=prompts)


@check_adapter("cca")
def test_it_keeps_the_promises_of_an_adapter(check):
    check()


def literal(f, *, alpha, beta, gamma, eta, T=None, R=None):
    """The logits of one unit query, sum by sum."""
    F, W = unit(TRAIN[0]), unit(PROMPTS.features)
    T = W if T is None else T
    whiten = Whiten(excess="cap").fit(F)
    u = lambda x: (x - whiten.mean_) @ whiten.components_.T  # noqa: E731
    R = np.eye(len(u(f))) if R is None else R
    affinity = np.array([u(f) @ (u(key) @ R) for key in F])
    near = (affinity - affinity.min()) / (affinity.max() - affinity.min())
    to_classes = np.exp([f @ w for w in W]) / sum(np.exp(f @ w) for w in W)
    logits = []
    for c in range(CLASSES):
        over_shots = np.exp([key @ W[c] for key in F])
        attended = sum(p * key for p, key in zip(over_shots / over_shots.sum(), F, strict=True))
        blended = sum(p * w for p, w in zip(to_classes, W, strict=True))
        votes = sum(np.exp(-beta * (1 - a)) for a, y in zip(near, TRAIN[1], strict=True) if y == c)
        fused = f @ T[c] + gamma * (f @ attended) + eta * (blended @ W[c])
        logits.append(100 * fused + alpha * votes)
    return logits


def test_logits_are_the_literal_formula():
    logits = fitted(val=None, **FIXED).logits(TEST[0])
    for i, f in enumerate(unit(TEST[0])[:33]):
        # float64 throughout; logits of order 100
        np.testing.assert_allclose(logits[i], literal(f, **FIXED), rtol=0, atol=1e-9)


def test_untrained_it_cannot_tell_ica_from_whitening():
    white, ica = (fitted(unmix=how, **FIXED).logits(TEST[0]) for how in ("whiten", "ica"))
    # A is blind to rotations; ICA's rotation is orthogonal to rounding, and keeps float64.
    np.testing.assert_allclose(ica, white, rtol=0, atol=1e-7)
    raw = fitted(unmix="none", **FIXED).logits(TEST[0])
    assert np.abs(raw - white).max() > 0.1  # the counter-check: whitening itself does matter


def test_the_mean_is_subtracted_before_unmixing():
    white = Whiten(excess="cap").fit(unit(TRAIN[0]))
    adapter = fitted(**FIXED)
    np.testing.assert_allclose(adapter._model.keys.mean(0), 0, atol=1e-12)
    left_in = unit(TRAIN[0]) @ white.components_.T
    assert np.abs(left_in.mean(0)).max() > 0.1  # here the mean is far from 0


def test_min_max_stretches_each_row_and_survives_one_that_is_flat():
    np.testing.assert_allclose(
        min_max(np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]])), [[0, 1, 0.5], [0, 0, 0]]
    )


def test_weights_are_the_best_of_their_grids_on_validation_rows():
    report = fitted().report()
    assert json.loads(json.dumps(report)) == report

    def right(**weights):
        return int((fitted(**weights).logits(VAL[0]).argmax(1) == VAL[1]).sum())

    start = {"gamma": FUSION_START, "eta": FUSION_START}
    cache = {"alpha": report["alpha"], "beta": report["beta"]}
    best = right(**cache, **start)
    assert cache["alpha"] in ALPHAS
    assert cache["beta"] in BETAS
    assert best >= max(right(alpha=a, beta=b, **start) for a in ALPHAS[::3] for b in BETAS[::29])
    fusion = {"gamma": report["gamma"], "eta": report["eta"]}
    assert fusion["gamma"] in FUSIONS
    final = right(**cache, **fusion)
    assert final >= max(right(**cache, gamma=g, eta=e) for g in FUSIONS[::17] for e in FUSIONS[::17])
    assert report["val_accuracy"] == pytest.approx(final / len(VAL[1]))


def test_a_weight_at_the_end_of_its_grid_is_told():
    report = fitted().report()
    grids = {"alpha": ALPHAS, "beta": BETAS, "gamma": FUSIONS, "eta": FUSIONS}
    assert report["at_edge"] == [n for n, grid in grids.items() if report[n] in (grid[0], grid[-1])]
    assert "beta" not in fitted(beta=BETAS[0]).report()["at_edge"]


def test_what_the_unmixing_warns_of_is_told(monkeypatch):
    assert "warnings" not in fitted(unmix="whiten", **FIXED).report()
    monkeypatch.setattr(ICA, "report", lambda self: {"warnings": ["it did not converge"]})
    assert fitted(unmix="ica", **FIXED).report()["warnings"] == ["it did not converge"]


def test_what_is_fixed_stays_and_the_rest_is_chosen():
    report = fitted(beta=2.0, eta=0.0).report()
    assert (report["beta"], report["eta"]) == (2.0, 0.0)
    assert report["alpha"] in ALPHAS
    assert fitted(**FIXED).selection == "none: alpha, beta, gamma and eta are fixed"


def test_a_class_without_rows_has_its_prompt_and_no_votes():
    keep = TRAIN[1] != 3
    train = (TRAIN[0][keep], TRAIN[1][keep])
    with_votes = fitted(train, **{**FIXED, "gamma": 0.0, "eta": 0.0}).logits(TEST[0])
    zero_shot = 100 * unit(TEST[0]) @ unit(PROMPTS.features).T
    np.testing.assert_allclose(with_votes[:, 3], zero_shot[:, 3], atol=1e-9)
    assert (np.delete(with_votes - zero_shot, 3, axis=1) > 0).all()


def test_rotating_the_features_changes_nothing():
    turn = np.linalg.qr(Key.of(5).generator().standard_normal((D, D)))[0]
    there = fitted(
        ((TRAIN[0] @ turn).astype(np.float32), TRAIN[1]),
        prompts=TextPrompts((PROMPTS.features @ turn).astype(np.float32), PROMPTS.classes),
        **FIXED,
    )
    # float32 rounding of the turned rows, whitened: small axes magnify it
    np.testing.assert_allclose(
        there.logits((TEST[0] @ turn).astype(np.float32)), fitted(**FIXED).logits(TEST[0]), atol=1e-2
    )


def test_what_is_missing_is_named():
    with pytest.raises(UsageError, match="cca needs text"):
        fitted(prompts=None)
    with pytest.raises(UsageError, match="cca chooses alpha, beta, gamma and eta on validation"):
        fitted(val=None)
    with pytest.raises(DataError, match="no labelled rows"):
        fitted((TRAIN[0][:0], TRAIN[1][:0]), unmix="none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -1.0}, "alpha is -1"),
        ({"eta": float("nan")}, "eta is nan"),
        ({"unmix": "pca"}, "'ica', 'whiten'"),
    ],
)
def test_wrong_settings_say_what_is_expected(settings, message):
    with pytest.raises(UsageError, match=message):
        CCA(**settings)
