"""The box's latents and partners follow their densities, border included; what it identifies follows the theory."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad

import lpcm
from lpcm.errors import DataError, UsageError
from lpcm.geometries.box import Box
from lpcm.keys import Key

N = 4001
KOLMOGOROV = 1.95 / np.sqrt(N)  # a true sample is further off once in a thousand keys; these keys are fixed


def cdf(x, mean, scale, power, lower=0.0, upper=1.0):
    """Distribution function of the cut law at its own mean, by scipy's generalised normal law."""
    whole = stats.gennorm(power, loc=mean, scale=scale)
    return (whole.cdf(x) - whole.cdf(lower)) / (whole.cdf(upper) - whole.cdf(lower))


@pytest.mark.parametrize("dim", [1, 3, 17])
def test_the_marginal_is_uniform(dim):
    z = Box(dim, lower=-2, upper=3).sample_marginal(Key.of(1), N)
    assert stats.kstest(z[:, -1], stats.uniform(-2, 5).cdf).statistic < KOLMOGOROV


@pytest.mark.parametrize(
    ("law", "scale", "power"), [("normal:0.3", 0.3 * 2**0.5, 2), ("laplace:0.3", 0.3, 1)]
)
def test_other_marginals_are_cut_around_the_centre(law, scale, power):
    z = Box(3, marginal=law).sample_marginal(Key.of(2), N)
    for i in range(3):
        assert stats.kstest(z[:, i], lambda x: cdf(x, 0.5, scale, power)).statistic < KOLMOGOROV


@pytest.mark.parametrize(
    ("law", "scale", "power"),
    [
        ("laplace:0.05", 0.05, 1),
        ("laplace:2", 2, 1),
        ("normal:0.3", 0.3 * 2**0.5, 2),
        ("gennorm:0.1:3", 0.1, 3),
    ],
)
def test_partners_follow_the_cut_law_at_every_latent(law, scale, power):
    box = Box(3, conditional=law)
    z = box.sample_marginal(Key.of(3), N)
    level = cdf(box.sample_conditional(Key.of(4), z), z, scale, power)
    for i in range(3):
        assert stats.kstest(level[:, i], "uniform").statistic < KOLMOGOROV
    # Coordinates are independent: a correlation of N pairs has standard deviation 1 / sqrt(N).
    assert np.abs(np.corrcoef(level.T)[np.triu_indices(3, 1)]).max() < 4 / np.sqrt(N)
    # And of the latents.
    assert abs(np.corrcoef(level[:, 0], z[:, 0])[0, 1]) < 4 / np.sqrt(N)


@pytest.mark.parametrize("corner", [-2.0, 3.0])
def test_partners_of_a_corner_lie_inside(corner):
    box = Box(3, lower=-2, upper=3, conditional="laplace:0.5")
    partner = box.sample_conditional(Key.of(5), np.full((N, 3), corner))
    inwards = np.abs(partner[:, 1] - corner)
    assert stats.kstest(inwards, stats.truncexpon(10, scale=0.5).cdf).statistic < KOLMOGOROV


def test_partners_are_rarer_at_the_border_than_latents_as_the_cut_implies():
    # p(z' | z) = exp(-|z' - z| / b) / C(z): C is half as large at the border, so that the law of pairs is symmetric
    # but for C, and partners are not quite uniform. The theorem reads C as a constant.
    b = 0.2
    box = Box(1, conditional=f"laplace:{b}")
    n, bound = 10 * N, KOLMOGOROV / np.sqrt(10)  # the difference is small
    partner = box.sample_conditional(Key.of(6), box.sample_marginal(Key.of(7), n))[:, 0]

    def density(x):
        return quad(lambda z: np.exp(-abs(x - z) / b) / (2 - np.exp(-z / b) - np.exp((z - 1) / b)) / b, 0, 1)[
            0
        ]

    grid = np.linspace(0, 1, 101)
    heights = np.array([density(x) for x in grid])
    assert heights[0] < 0.75 * heights[50]
    steps = (heights[1:] + heights[:-1]) / 2 * 0.01
    distribution = np.concatenate([[0], np.cumsum(steps)])
    assert distribution[-1] == pytest.approx(1, abs=1e-3)  # the trapezium rule's error at this step
    assert stats.kstest(partner, lambda x: np.interp(x, grid, distribution)).statistic < bound
    assert stats.kstest(partner, "uniform").statistic > bound


@pytest.mark.parametrize(
    ("settings", "similarity", "p", "identifies"),
    [
        ({}, "l1", 1, "permutation"),
        ({"conditional": "normal:0.1"}, "sqeuclidean", 2, "orthogonal"),
        ({"conditional": "gennorm:0.1:3"}, "lp", 3, "permutation"),
        ({"conditional": "gennorm:0.1:2"}, "lp", 2, "orthogonal"),
        ({"similarity": "lp:1"}, "lp", 1, "permutation"),
        ({"similarity": "sqeuclidean"}, "sqeuclidean", 2, "nothing"),
        ({"similarity": "dot"}, "dot", 2, "nothing"),
        ({"conditional": "normal:0.1", "similarity": "l1"}, "l1", 1, "nothing"),
        ({"marginal": "normal:1"}, "l1", 1, "nothing"),
    ],
)
def test_what_is_identified_follows_the_laws_and_the_similarity(settings, similarity, p, identifies):
    box = Box(3, **settings)
    assert (box.similarity, box.p, box.identifies) == (similarity, p, identifies)


def test_the_matched_scale_is_that_of_the_law_and_none_for_a_wrong_model():
    assert Box(2, conditional="laplace:0.05").matched_scale == pytest.approx(20)
    assert Box(2, conditional="normal:0.1").matched_scale == pytest.approx(50)
    assert Box(2, conditional="gennorm:0.5:3").matched_scale == pytest.approx(8)
    assert Box(2, conditional="laplace:0.05", similarity="sqeuclidean").matched_scale is None


def test_the_loss_is_least_at_the_matched_scale():
    box = Box(3, conditional="laplace:0.05")
    z = box.sample_marginal(Key.of(8), 2049)
    x, y = torch.from_numpy(z), torch.from_numpy(box.sample_conditional(Key.of(9), z))
    at, below, above = (
        lpcm.contrastive_loss(x, y, scale * box.matched_scale, similarity=box.similarity).item()
        for scale in (1, 0.7, 1.4)
    )
    # Over keys these differences are 0.14 with a standard deviation of 0.015.
    assert at < below - 0.03
    assert at < above - 0.03


def test_projecting_clips_and_latents_off_the_box_are_refused():
    box = Box(2, upper=2)
    np.testing.assert_array_equal(box.project(np.array([[-1.0, 1.5], [3, 2]])), [[0, 1.5], [2, 2]])
    with pytest.raises(DataError, match="1 of 2 points are not in the box from 0 to 2"):
        box.sample_conditional(Key.of(0), np.array([[0.0, 1], [0, 2.1]]))
    # A float32 sigmoid that was rounded beyond the bound is taken back to it.
    assert box.sample_conditional(Key.of(0), np.array([[0.0, 2 + 1e-6]])).max() <= 2


def test_samples_depend_on_the_key_alone():
    box = Box(3)
    z = box.sample_marginal(Key.of(0), 7)
    assert z.tobytes() == Box(3).sample_marginal(Key.of(0), 7).tobytes()
    partner = box.sample_conditional(Key.of(0), z)
    assert partner.tobytes() == box.sample_conditional(Key.of(0), z).tobytes()
    assert partner.tobytes() != box.sample_conditional(Key.of(1), z).tobytes()


def test_no_draws_are_none():
    box = Box(3)
    assert box.sample_conditional(Key.of(0), box.sample_marginal(Key.of(0), 0)).shape == (0, 3)
    with pytest.raises(UsageError, match="-1 draws"):
        box.sample_marginal(Key.of(0), -1)


@pytest.mark.parametrize(
    ("dim", "settings", "said"),
    [
        (0, {}, "expected dim of 1 or more"),
        (2, {"lower": 1.0}, "a box from 1 to 1"),
        (2, {"lower": 2.0}, "lower below upper"),
        (2, {"upper": float("inf")}, "finite bounds"),
        (2, {"lower": float("nan")}, "finite bounds"),
        (2, {"lower": -1e308, "upper": 1e308}, "finite bounds"),
        (2, {"conditional": "vmf:1"}, "a box has no conditional"),
        (2, {"conditional": "uniform"}, "a box has no conditional"),
        (2, {"marginal": "vmf:1"}, "a box has no marginal"),
        (2, {"conditional": "laplace:-1"}, "above 0"),
        (2, {"extent": "free"}, "expected fixed or learned"),
        (2, {"similarity": "cosine"}, "expected one of dot"),
    ],
)
def test_boxes_that_cannot_be_are_refused(dim, settings, said):
    with pytest.raises(UsageError, match=said):
        Box(dim, **settings)


def test_nan_and_wrong_shapes_are_refused():
    with pytest.raises(DataError, match=r"shape \(2, 4\): expected \(n, 3\)"):
        Box(3).project(np.ones((2, 4)))
    with pytest.raises(DataError, match="NaN"):
        Box(3).sample_conditional(Key.of(0), np.full((1, 3), np.nan))
