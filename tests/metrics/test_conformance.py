"""Built-in metrics keep the promises that lpcm.testing asks of anyone's."""

from lpcm.metrics.records import RECORDS
from lpcm.testing import check_metric


def test_every_metric_is_checked_here():
    checked = {name for name in globals() if name.startswith("test_metric_")}
    assert checked == {f"test_metric_{record.name.replace('-', '_')}" for record in RECORDS}


@check_metric("accuracy")
def test_metric_accuracy(check):
    check()


@check_metric("balanced-accuracy")
def test_metric_balanced_accuracy(check):
    check()


@check_metric("dci-d")
def test_metric_dci_d(check):
    check()


@check_metric("dci-c")
def test_metric_dci_c(check):
    check()


@check_metric("dci-i")
def test_metric_dci_i(check):
    check()


@check_metric("mig")
def test_metric_mig(check):
    check()


@check_metric("sap")
def test_metric_sap(check):
    check()


@check_metric("modularity")
def test_metric_modularity(check):
    check()


@check_metric("explicitness")
def test_metric_explicitness(check):
    check()


@check_metric("infom")
def test_metric_infom(check):
    check()


@check_metric("infoc")
def test_metric_infoc(check):
    check()


@check_metric("infoe")
def test_metric_infoe(check):
    check()


@check_metric("irs")
def test_metric_irs(check):
    check()


@check_metric("mcc")
def test_metric_mcc(check):
    check()


@check_metric("mcc-spearman")
def test_metric_mcc_spearman(check):
    check()


@check_metric("r2")
def test_metric_r2(check):
    check()


@check_metric("r2-adjusted")
def test_metric_r2_adjusted(check):
    check()


@check_metric("l1-probe")
def test_metric_l1_probe(check):
    check()


@check_metric("top-m")
def test_metric_top_m(check):
    check()


@check_metric("stumps")
def test_metric_stumps(check):
    check()
