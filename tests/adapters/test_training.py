"""Training depends on rows and key alone, and leaves the machine as it found it."""

import numpy as np
import pytest
import torch

from lpcm.adapters.training import Epoch, Optimiser, Rows, Schedule, tensor, train
from lpcm.errors import UsageError
from lpcm.keys import Key

from .drawn import CLASSES, TRAIN, VAL, D
from .literal_training import residual


def trained(val=VAL, threads=None, **settings):
    weights = torch.zeros(D, CLASSES, requires_grad=True)
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        found = train(
            [weights],
            lambda f: f @ weights,
            Rows.of(*TRAIN),
            None if val is None else Rows.of(*val),
            Schedule(**{"epochs": 4, "lr": 0.1, "batch": 17} | settings),
            Key.of(0),
        )
        assert torch.get_num_threads() == (before if threads is None else threads)
    finally:
        torch.set_num_threads(before)
    return weights.detach(), found


def test_bits_do_not_depend_on_the_number_of_threads():
    assert torch.equal(trained(threads=1)[0], trained(threads=3)[0])


def test_the_kept_epoch_is_the_best_that_a_shorter_look_would_have_seen():
    _, found = trained(epochs=9, lr=0.5)
    assert 1 <= found.epoch <= 9
    assert found.standing is not None
    last = trained(epochs=9, lr=0.5, keep=Epoch.LAST)[1]
    assert last.epoch == 9
    assert last.standing is not None
    assert found.standing <= last.standing
    assert found.loss == last.loss  # the same steps; only what is kept differs


def test_the_last_epoch_needs_no_validation_and_the_best_does():
    assert trained(val=None, keep=Epoch.LAST)[1].standing is None
    with pytest.raises(UsageError, match="to be chosen on validation rows"):
        trained(val=None)
    with pytest.raises(UsageError, match="to be compared on validation rows"):
        _ = trained(val=None, keep=Epoch.LAST)[1].rank


def test_rows_are_copies():
    rows = Rows.of(*TRAIN)
    rows.features.zero_()
    rows.labels.zero_()
    assert TRAIN[0].any()
    assert TRAIN[1].any()
    copied = tensor(TRAIN[0])
    copied.zero_()
    assert TRAIN[0].any()


def test_sgd_with_a_warm_up_is_the_literal_recipe():
    # Full batches, so that the order of the rows has no part; float64 here and float32 there.
    settings = {"lr": 0.5, "weight_decay": 5e-4, "warm_lr": 1e-3}
    found, _ = trained(optimiser=Optimiser.SGD, epochs=5, batch=65, warm_up=2, keep=Epoch.LAST, **settings)
    rows, labels = TRAIN[0].astype(np.float64), TRAIN[1]
    weights, speed = np.zeros((D, CLASSES)), np.zeros((D, CLASSES))
    for step in range(5):
        rate = 1e-3 if step < 2 else 0.5 * (1 + np.cos(np.pi * (step - 2) / 3)) / 2
        slope = rows.T @ residual(rows @ weights, labels) + 5e-4 * weights
        speed = 0.9 * speed + slope
        weights = weights - rate * speed
    np.testing.assert_allclose(found.numpy(), weights, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"warm_up": 4}, "warm_up is 4 of 4 epochs: expected fewer"),
        ({"warm_up": -1}, "warm_up is -1: expected a whole number"),
        ({"warm_lr": 0.0}, "warm_lr is 0.0: expected a number above 0"),
    ],
)
def test_a_warm_up_that_cannot_be_is_refused(settings, said):
    with pytest.raises(UsageError, match=said):
        trained(**settings)
