"""Training depends on rows and key alone, and leaves the machine as it found it."""

import pytest
import torch

from lpcm.adapters.training import Epoch, Rows, Schedule, tensor, train
from lpcm.errors import UsageError
from lpcm.keys import Key

from .drawn import CLASSES, TRAIN, VAL, D


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
