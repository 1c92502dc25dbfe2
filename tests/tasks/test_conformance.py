"""Built-in tasks keep the promises that lpcm.testing asks of anyone's."""

from lpcm.testing import check_task


@check_task("fewshot")
def test_fewshot(check):
    check()


@check_task("domains")
def test_domains(check):
    check()


@check_task("concepts")
def test_concepts(check):
    check()
