"""Draws from the power laws are those of scipy's laws, free and cut, at any scale and at the very bounds."""

import numpy as np
import pytest
from scipy import stats

from lpcm.geometries.draws import free, quantile, share, within
from lpcm.geometries.laws import Law
from lpcm.keys import Key

N = 4001
KOLMOGOROV = 1.95 / np.sqrt(N)  # a true sample is further off once in a thousand keys; these keys are fixed
LAWS = ["laplace:0.2", "normal:0.2", "gennorm:0.2:3", "gennorm:0.2:1.3", "gennorm:0.2:20"]


def frozen(law, mean=0.0):
    """scipy's law: gennorm has the density exp(-|(x - loc) / scale|^beta)."""
    return stats.gennorm(law.exponent, loc=mean, scale=law.radius)


def cut_cdf(law, mean, lower=0.0, upper=1.0):
    whole = frozen(law, mean)
    below, above = whole.cdf(lower), whole.cdf(upper)
    return lambda x: (whole.cdf(x) - below) / (above - below)


@pytest.mark.parametrize("text", LAWS)
def test_free_draws_have_the_law_of_scipy(text):
    law = Law.parse(text)
    drawn = free(Key.of(1).generator(), law, (N, 1))[:, 0]
    assert stats.kstest(drawn, frozen(law).cdf).statistic < KOLMOGOROV
    # Signs are fair: the standard deviation of their mean is 1 / sqrt(N).
    assert abs(np.sign(drawn).mean()) < 4 / np.sqrt(N)


@pytest.mark.parametrize("mean", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("text", LAWS)
def test_cut_draws_have_the_law_of_scipy_between_the_bounds(text, mean):
    law = Law.parse(text)
    drawn = within(Key.of(2).generator(), law, np.full((N, 1), mean), 0, 1)[:, 0]
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert stats.kstest(drawn, cut_cdf(law, mean)).statistic < KOLMOGOROV


@pytest.mark.parametrize("mean", [0.0, 0.4])
def test_cut_draws_have_the_closed_laws(mean):
    normal = within(Key.of(3).generator(), Law.parse("normal:0.3"), np.full((N, 1), mean), 0, 1)[:, 0]
    law = stats.truncnorm(-mean / 0.3, (1 - mean) / 0.3, loc=mean, scale=0.3)
    assert stats.kstest(normal, law.cdf).statistic < KOLMOGOROV

    laplace = within(Key.of(4).generator(), Law.parse("laplace:0.3"), np.full((N, 1), mean), 0, 1)[:, 0]
    left, right = 1 - np.exp(-mean / 0.3), 1 - np.exp(-(1 - mean) / 0.3)

    def cdf(x):
        u = (x - mean) / 0.3
        return (left + np.sign(u) * (1 - np.exp(-np.abs(u)))) / (left + right)

    assert stats.kstest(laplace, cdf).statistic < KOLMOGOROV


@pytest.mark.parametrize("text", ["laplace", "normal", "gennorm::3", "gennorm::60"])
def test_a_huge_scale_is_uniform_and_a_tiny_one_stays_at_the_mean(text):
    name, _, power = text.partition("::")
    huge = Law.parse(":".join(filter(None, (name, "1e9", power))))
    drawn = within(Key.of(5).generator(), huge, np.full((N, 1), 0.3), 0, 1)[:, 0]
    assert stats.kstest(drawn, "uniform").statistic < KOLMOGOROV

    tiny = Law.parse(":".join(filter(None, (name, "1e-9", power))))
    drawn = within(Key.of(6).generator(), tiny, np.zeros((N, 1)), 0, 1)[:, 0]
    # At the bound one half of the law is left. Draws keep their digits since the mean is 0.
    assert stats.kstest(
        drawn / tiny.radius, lambda u: 2 * stats.gennorm(tiny.exponent).cdf(u) - 1
    ).statistic < (KOLMOGOROV)


@pytest.mark.parametrize("text", ["laplace:1e-300", "normal:1e-300", "gennorm:1e-300:3", "gennorm:1e300:3"])
def test_scales_at_the_end_of_the_doubles_give_points_of_the_box(text):
    drawn = within(Key.of(7).generator(), Law.parse(text), np.full((17, 3), 0.25), 0, 1)
    assert ((drawn >= 0) & (drawn <= 1)).all()


@pytest.mark.parametrize("text", [*LAWS, "gennorm:0.2:1", "gennorm:0.2:2"])
def test_quantiles_invert_shares(text):
    law = Law.parse(text)
    distance = law.radius * np.array([0.0, 1e-200, 1e-12, 1e-3, 0.1, 0.5, 1.0, 1.2])
    # Conditioning: near a share of 1 a last bit of it is worth 1e-16 / density, at 1.2 radii of the 20th power 1e-1.
    np.testing.assert_allclose(quantile(law, share(law, distance))[:-1], distance[:-1], rtol=1e-13)
    np.testing.assert_allclose(
        share(law, distance), 2 * frozen(law).cdf(distance) - 1, rtol=1e-12, atol=3e-16
    )


def test_laws_of_equal_density_have_equal_shares():
    x = np.linspace(0, 3, 31)
    for one, other in (("laplace:0.5", "gennorm:0.5:1"), ("normal:0.5", f"gennorm:{0.5 * 2**0.5}:2")):
        np.testing.assert_allclose(share(Law.parse(one), x), share(Law.parse(other), x), rtol=1e-13)


@pytest.mark.parametrize("text", ["laplace:0.2", "normal:0.2"])
def test_many_rows_are_drawn_independently(text):
    n = 2 * 8192 + 31  # beyond two of the portions that are drawn at a time
    drawn = within(Key.of(8).generator(), Law.parse(text), np.full((n, 2), 0.3), 0, 1)
    assert len(np.unique(drawn)) == 2 * n
    again = within(Key.of(8).generator(), Law.parse(text), np.full((n, 2), 0.3), 0, 1)
    assert np.array_equal(drawn, again)


@pytest.mark.parametrize("mean", [-0.1, 1.1, np.nan])
def test_means_outside_of_the_bounds_are_refused(mean):
    with pytest.raises(ValueError, match=r"expected them in \[0, 1\]"):
        within(Key.of(9).generator(), Law.parse("laplace:0.2"), np.array([[0.5, mean]]), 0, 1)
