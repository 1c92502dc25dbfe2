"""Built-in disentanglers keep the promises that lpcm.testing asks of anyone's."""

from lpcm.testing import check_disentangler


@check_disentangler("none")
def test_none(check):
    check()


@check_disentangler("pca")
def test_pca(check):
    check()


@check_disentangler("whiten")
def test_whiten(check):
    check()


@check_disentangler("rotation")
def test_rotation(check):
    check()


@check_disentangler("ica")
def test_ica(check):
    check()


@check_disentangler("pca-ica")
def test_pca_ica(check):
    check()
