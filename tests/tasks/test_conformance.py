"""Built-in tasks keep the promises that lpcm.testing asks of anyone's."""

from lpcm.testing import check_simulation, check_task


@check_task("fewshot")
def test_fewshot(check):
    check()


@check_task("domains")
def test_domains(check):
    check()


@check_task("concepts")
def test_concepts(check):
    check()


@check_task("geometry")
def test_geometry(check):
    check()


@check_simulation("identifiability")
def test_identifiability(check):
    check()


@check_simulation("asymptotics")
def test_asymptotics(check):
    check()


@check_task("disentanglement")
def test_disentanglement(check):
    check()
