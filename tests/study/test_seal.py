"""The seal: test labels come once, and only after fitting."""

import pytest

from lpcm.errors import SealError
from lpcm.plugin.contracts import Sample
from lpcm.study.seal import Loan, Seal


class Spy(Sample):
    """A sample that notes when its label is read."""

    read = False

    def __getattribute__(self, name):
        if name == "label":
            type(self).read = True
        return super().__getattribute__(name)


@pytest.fixture
def seal():
    Spy.read = False
    samples = [Spy("a", None, 2), Spy("b", None, 0)]
    return Seal(lambda: [sample.label for sample in samples])


def test_labels_are_not_even_read_before_the_seal_opens(seal):
    Spy.read = False
    with pytest.raises(SealError, match="still open"):
        seal.open()
    seal.close_fitting()
    assert not Spy.read
    assert seal.open() == [2, 0]
    assert Spy.read


def test_labels_are_handed_out_once(seal):
    seal.close_fitting()
    seal.open()
    with pytest.raises(SealError, match="second time"):
        seal.open()


def test_labels_are_lent_only_to_a_cell_that_is_an_oracle(seal):
    with pytest.raises(SealError, match="while fitting"):
        seal.lend()
    assert not seal.lent
    oracle = Seal(lambda: [1], Loan.ORACLE)
    assert not oracle.lent
    oracle.lend()
    assert oracle.lent
