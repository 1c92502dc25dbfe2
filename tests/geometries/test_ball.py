"""The ball's latents and partners follow their densities by both of its proposals."""

import numpy as np
import pytest
from scipy import stats

from lpcm.errors import DataError, UsageError
from lpcm.geometries.ball import Ball
from lpcm.geometries.draws import within
from lpcm.geometries.laws import Law
from lpcm.keys import Key

N = 4001
KOLMOGOROV = 1.95 / np.sqrt(N)  # a true sample is further off once in a thousand keys; these keys are fixed
# Two samples: the bound is sqrt(2) wider. 50 comparisons are made: further off once in a hundred thousand keys.
TWO_SAMPLES = np.sqrt(2) * 2.47 / np.sqrt(N)


def by_hand(law, mean, radius):
    """Partners of one mean, cut coordinate by coordinate to the cube, of which those in the ball are kept."""
    cube = within(Key.of(99).generator(), Law.parse(law), np.tile(mean, (200_000, 1)), -radius, radius)
    return cube[np.linalg.norm(cube, axis=1) <= radius][:N]


@pytest.mark.parametrize("dim", [1, 2, 17])
def test_the_marginal_is_uniform(dim):
    radii = np.linalg.norm(Ball(dim, radius=3).sample_marginal(Key.of(1), N), axis=1)
    # The share of the volume within a radius is its d-th power.
    assert stats.kstest((radii / 3) ** dim, "uniform").statistic < KOLMOGOROV


def test_no_direction_is_preferred():
    z = Ball(3).sample_marginal(Key.of(2), N)
    # The squared coordinates of a uniform point have mean 1 / (d + 2); their errors are about 0.003.
    np.testing.assert_allclose(z.T @ z / N, np.eye(3) / 5, atol=0.015)


@pytest.mark.parametrize("law", ["laplace:0.1", "normal:0.4", "gennorm:0.3:3", "laplace:3", "normal:1e9"])
def test_in_one_dimension_the_ball_is_an_interval(law):
    """Scales below the ball's size are drawn by the law, those above it by the ball."""
    read, mean = Law.parse(law), 0.7
    partner = Ball(1, conditional=law).sample_conditional(Key.of(3), np.full((N, 1), mean))[:, 0]
    whole = stats.gennorm(read.exponent, loc=mean, scale=read.radius)

    def cdf(x):
        return (whole.cdf(x) - whole.cdf(-1)) / (whole.cdf(1) - whole.cdf(-1))

    assert stats.kstest(partner, cdf).statistic < KOLMOGOROV


@pytest.mark.parametrize("law", ["laplace:0.2", "laplace:1.5", "normal:0.3", "normal:2", "gennorm:0.8:3"])
@pytest.mark.parametrize("mean", [(0.0, 0.0, 0.0), (1.2, -0.9, 0.0)])
def test_partners_are_those_of_the_cube_that_fall_inside(law, mean):
    mean, radius = np.array(mean), 1.5  # the second one lies on the border
    ours = Ball(3, radius=radius, conditional=law).sample_conditional(Key.of(4), np.tile(mean, (N, 1)))
    theirs = by_hand(law, mean, radius)
    for direction in np.vstack([np.eye(3), np.ones(3) / 3]):
        assert stats.ks_2samp(ours @ direction, theirs @ direction).statistic < TWO_SAMPLES
    assert (
        stats.ks_2samp(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1)).statistic < TWO_SAMPLES
    )


def test_a_marginal_is_cut_around_the_centre():
    z = Ball(2, marginal="normal:0.5").sample_marginal(Key.of(5), N)
    # |z|^2 / s^2 is exponential with mean 2, cut at 1 / s^2 = 4.
    assert stats.kstest(np.square(z).sum(1) / 0.25, stats.truncexpon(2, scale=2).cdf).statistic < KOLMOGOROV


@pytest.mark.parametrize("scale", ["1e-300", "1e-9", "1e9", "1e300"])
def test_extreme_scales_give_points_of_the_ball(scale):
    ball = Ball(5, conditional=f"laplace:{scale}")
    partner = ball.sample_conditional(Key.of(6), ball.sample_marginal(Key.of(7), 257))
    assert (np.linalg.norm(partner, axis=1) <= 1 + 1e-15).all()


def test_a_law_that_hardly_falls_inside_is_refused_instead_of_drawn_for_ever():
    ball = Ball(60, conditional="laplace:0.5")
    with pytest.raises(UsageError, match=r"hardly a draw of laplace:0\.5") as caught:
        ball.sample_conditional(Key.of(8), np.zeros((3, 60)))
    assert "or the box" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "similarity", "identifies"),
    [
        ({}, "l1", "permutation"),
        ({"conditional": "normal:0.1"}, "sqeuclidean", "orthogonal"),
        ({"conditional": "gennorm:0.1:4"}, "lp", "permutation"),
        ({"similarity": "dot"}, "dot", "nothing"),
        ({"marginal": "laplace:1"}, "l1", "nothing"),
    ],
)
def test_what_is_identified_follows_the_laws_and_the_similarity(settings, similarity, identifies):
    ball = Ball(3, **settings)
    assert (ball.similarity, ball.identifies) == (similarity, identifies)


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_projecting_pulls_back_what_is_outside_at_any_size(size):
    z = np.array([[3.0, -4.0, 0.0], [0, 0, 0]]) * size
    inside = 5 * size <= 2
    np.testing.assert_allclose(
        Ball(3, radius=2).project(z), z if inside else [[1.2, -1.6, 0], [0, 0, 0]], rtol=1e-15
    )


def test_points_outside_are_refused():
    with pytest.raises(DataError, match="1 of 2 points are not in the ball of radius 2"):
        Ball(2, radius=2).sample_conditional(Key.of(0), np.array([[0.0, 2], [2, 2]]))
    with pytest.raises(DataError, match="NaN"):
        Ball(2).project(np.full((1, 2), np.nan))


@pytest.mark.parametrize("radius", [0.0, -1.0, float("inf"), float("nan")])
def test_balls_that_cannot_be_are_refused(radius):
    with pytest.raises(UsageError, match="expected a finite number above 0"):
        Ball(3, radius=radius)


def test_a_ball_has_no_von_mises_fisher_law():
    with pytest.raises(UsageError, match="a ball has no conditional 'vmf:1'"):
        Ball(3, conditional="vmf:1")
