"""LP++ blends class weights with prompts, and takes the steps that its formulas say."""

import json

import numpy as np
import pytest

from lpcm.adapters.lp_plus_plus import LPPlusPlus
from lpcm.adapters.prompts import unit
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, PROMPTS, TEST, TRAIN, VAL


def fitted(train=TRAIN, val=VAL, prompts=PROMPTS, **settings):
    return LPPlusPlus(**settings).fit(*train, classes=CLASSES, key=Key.of(0), val=val, text=prompts)


@check_adapter("lp-plus-plus")
def test_it_keeps_the_promises_of_an_adapter(check):
    check()


def literal(blocks):
    """The two parameters after each block, row by row and class by class, in torch's SGD and autograd."""
    import torch

    F, T, y = torch.tensor(unit(TRAIN[0])), torch.tensor(unit(PROMPTS.features)), torch.tensor(TRAIN[1])
    n = len(F)
    w = torch.stack([F[y == c].sum(0) for c in range(CLASSES)]).requires_grad_()
    start = torch.stack([torch.stack([f @ T[c] for f in F[y == c]]).mean() for c in range(CLASSES)]).mean()
    alpha = torch.full((CLASSES,), 250 * float(start), dtype=torch.float64, requires_grad=True)
    largest = torch.linalg.eigvalsh(F.T @ F).max()
    optimizer = torch.optim.SGD([w], lr=float(4 * n / largest), momentum=0.9)
    step_alpha = n / (4 * max(sum(float(f @ t) ** 2 for f in F) for t in T))
    trail = [(w.detach().numpy().copy(), alpha.detach().numpy().copy())]
    for _ in range(blocks):
        for _ in range(10):
            logits = torch.stack([F @ (w[c] + alpha[c] * T[c]) for c in range(CLASSES)], dim=1)
            optimizer.zero_grad()
            alpha.grad = None
            torch.nn.functional.cross_entropy(logits, y).backward()
            optimizer.step()
        with torch.no_grad():
            alpha -= step_alpha * alpha.grad
        trail.append((w.detach().numpy().copy(), alpha.detach().numpy().copy()))
    return trail


def test_logits_are_the_literal_formula_after_literal_steps():
    ours = fitted(blocks=5)
    w, alpha = literal(5)[ours.report()["block"]]
    logits = ours.logits(TEST[0])
    for i, f in enumerate(unit(TEST[0])):
        for c, t in enumerate(unit(PROMPTS.features)):
            # float64 throughout, up to fifty steps: logits of order 100 keep eleven digits.
            assert logits[i, c] == pytest.approx(f @ w[c] + alpha[c] * (f @ t), abs=1e-8)


def test_the_block_is_the_best_on_validation_rows():
    report = fitted(blocks=7).report()
    V, T = unit(VAL[0]), unit(PROMPTS.features)
    right = [np.sum((V @ w.T + V @ T.T * a).argmax(1) == VAL[1]) for w, a in literal(7)]
    assert right[report["block"]] == max(right)
    assert report["val_accuracy"] == pytest.approx(max(right) / len(VAL[1]))
    assert min(right) < max(right)  # there was something to choose
    assert json.loads(json.dumps(report)) == report


def test_descent_lowers_the_loss_of_the_shots():
    rows, labels = TRAIN
    trail = literal(3)
    F, T = unit(rows), unit(PROMPTS.features)

    def loss(w, a):
        z = F @ w.T + F @ T.T * a
        z = z - z.max(1, keepdims=True)
        return float((np.log(np.exp(z).sum(1)) - z[np.arange(len(labels)), labels]).mean())

    assert loss(*trail[3]) < loss(*trail[0])


def test_what_is_missing_is_named():
    with pytest.raises(UsageError, match="lp-plus-plus needs text"):
        fitted(prompts=None)
    with pytest.raises(UsageError, match="lp-plus-plus chooses the block on validation"):
        fitted(val=None)
    with pytest.raises(UsageError, match="blocks is 0"):
        LPPlusPlus(blocks=0)


def test_the_blending_starts_at_the_factor_and_hardly_moves():
    published, tenth = fitted().report(), fitted(start=25.0).report()
    assert published["alpha_at_start"] == pytest.approx(10 * tenth["alpha_at_start"], rel=1e-12)
    # The step of alpha is short: less than a hundredth of it in thirty blocks.
    assert published["alpha_mean"] == pytest.approx(published["alpha_at_start"], rel=0.01)


@pytest.mark.parametrize("start", [0.0, -1.0, np.inf, np.nan])
def test_a_factor_that_cannot_be_is_refused(start):
    with pytest.raises(UsageError, match=f"start is {start}: expected a number above 0"):
        LPPlusPlus(start=start)
