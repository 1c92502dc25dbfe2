"""Built-in metrics keep the promises that lpcm.testing asks of anyone's."""

from lpcm.testing import check_metric


@check_metric("accuracy")
def test_accuracy(check):
    check()


@check_metric("balanced-accuracy")
def test_balanced_accuracy(check):
    check()
