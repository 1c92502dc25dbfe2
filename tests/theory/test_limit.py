"""Theorem 3.1: the limit in closed form, by Monte Carlo and by the loss itself are one number."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lpcm.geometries.ball import Ball
from lpcm.geometries.box import Box
from lpcm.geometries.sphere import Sphere
from lpcm.geometries.unbounded import Unbounded
from lpcm.keys import Key
from lpcm.theory import limit as limits
from lpcm.theory.limit import Pairing, finite, limit, log_mean_exp, mean_cosine
from lpcm.theory.plot import Mark, gap_plot

KEY = Key.of(0)


@pytest.mark.parametrize("s", [0.01, 1.0, 10.0, 300.0])
def test_in_three_dimensions_the_closed_forms_are_elementary(s):
    # Langevin's function, and log(sinh s / s) without overflow.
    assert mean_cosine(3, s) == pytest.approx(1 / math.tanh(s) - 1 / s, rel=1e-9, abs=1e-12)
    assert log_mean_exp(3, s) == pytest.approx(s + math.log1p(-math.exp(-2 * s)) - math.log(2 * s), abs=1e-9)


def test_without_concentration_nothing_is_shared():
    assert mean_cosine(5, 0.0) == 0.0
    assert log_mean_exp(5, 0.0) == 0.0


def test_on_the_sphere_monte_carlo_agrees_with_the_closed_form():
    space = Sphere(4, conditional="vmf:5")
    exact, drawn = limit(space, 5.0, KEY, 0), limits._monte_carlo(space, 5.0, KEY, 4001)
    assert exact.exact
    assert not drawn.exact
    assert abs(drawn.value - exact.value) < 4 * drawn.error  # four standard errors
    assert drawn.error < 0.1


def test_means_of_coordinates_multiply_to_the_mean_of_all():
    box = Box(2, conditional="laplace:0.3")
    rows, others = box.sample_marginal(KEY, 33), box.sample_marginal(Key.of(1), 20_001)
    together = limits._log_means(box, 3.0, rows, others)
    one_by_one = limits._of_coordinates(box, 3.0, rows, others)
    np.testing.assert_allclose(
        one_by_one, together, atol=0.05
    )  # means of 8192 draws, relative spread about 1


@pytest.mark.parametrize(
    "space",
    [
        Sphere(3, conditional="vmf:3"),
        Box(2, conditional="laplace:0.3"),
        Box(2, conditional="gennorm:0.4:3"),
        Ball(2, conditional="laplace:0.3"),
        Unbounded(2, conditional="normal:0.7"),
    ],
    ids=["sphere", "box", "box-lp", "ball", "unbounded"],
)
def test_the_loss_of_many_pairs_is_near_its_limit(space):
    scale, n = space.matched_scale, 4096
    goal = limit(space, scale, KEY.fold("limit"), 8192)
    each = finite(space, scale, KEY.fold("pairs"), n)
    noise = math.hypot(each.std() / math.sqrt(n), goal.error)
    # Five standard errors, and the gap of order 1 / N with a constant of tens.
    assert abs(each.mean() - goal.value) < 5 * noise + 50 / n


def test_the_gap_falls_like_one_over_n():
    space = Sphere(5, conditional="vmf:10")
    goal = limit(space, 10.0, KEY, 0).value
    gaps = [
        np.mean([finite(space, 10.0, KEY.fold(n, i), n).mean() for i in range(32_768 // n)]) - goal
        for n in (32, 128)
    ]
    # 4 in expectation; gaps of 0.56 and 0.15 nats have standard errors of 0.02, and 2 of them at each end remain.
    assert 2.7 < gaps[0] / gaps[1] < 6


def test_strangers_lose_more_than_pairs():
    space = Sphere(3, conditional="vmf:3")
    own, strangers = (finite(space, 3.0, KEY, 257, pairing).mean() for pairing in Pairing)
    assert strangers > own + 1


def test_the_plot_is_xml_with_a_mark_for_each_size():
    marks = [Mark(32, 0.5, 0.4, 0.6), Mark(64, 0.1, -0.1, 0.3)]
    root = ET.fromstring(gap_plot("a < b & c", marks))
    assert len(root.findall("{*}circle")) == 2
    assert "a < b & c" in "".join(root.itertext())
    assert b"nan" not in gap_plot("one", marks[:1])
