"""Built-in geometries keep the promises that lpcm.testing asks of anyone's."""

from lpcm.testing import check_geometry


@check_geometry("sphere")
def test_sphere(check):
    check()


@check_geometry("box")
def test_box(check):
    check()


@check_geometry("ball")
def test_ball(check):
    check()


@check_geometry("unbounded")
def test_unbounded(check):
    check()


@check_geometry("product")
def test_product(check):
    check()
