"""Built-in adapters keep the promises that lpcm.testing asks of anyone's."""

from lpcm.testing import check_adapter


@check_adapter("linear-probe")
def test_linear_probe(check):
    check()


@check_adapter("zero-shot")
def test_zero_shot(check):
    check()
