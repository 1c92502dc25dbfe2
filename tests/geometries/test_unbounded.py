"""R^d draws its laws and identifies nothing, whatever they are."""

import numpy as np
import pytest
from scipy import stats

from lpcm.errors import DataError, UsageError
from lpcm.geometries.unbounded import Unbounded
from lpcm.keys import Key

N = 4001
KOLMOGOROV = 1.95 / np.sqrt(N)  # a true sample is further off once in a thousand keys; these keys are fixed
LAWS = {
    "normal:0.5": stats.norm(0, 0.5),
    "laplace:0.5": stats.laplace(0, 0.5),
    "gennorm:2:3": stats.gennorm(3, 0, 2),
}


@pytest.mark.parametrize("law", LAWS)
def test_latents_and_partners_have_their_laws(law):
    space = Unbounded(3, marginal=law, conditional=law)
    z = space.sample_marginal(Key.of(1), N)
    partner = space.sample_conditional(Key.of(2), z)
    assert stats.kstest(z[:, 1], LAWS[law].cdf).statistic < KOLMOGOROV
    assert stats.kstest((partner - z)[:, 2], LAWS[law].cdf).statistic < KOLMOGOROV
    # A correlation of N independent pairs has standard deviation 1 / sqrt(N).
    assert abs(np.corrcoef(z[:, 1], (partner - z)[:, 1])[0, 1]) < 4 / np.sqrt(N)


@pytest.mark.parametrize("law", LAWS)
def test_nothing_is_identified_not_even_for_a_normal_latent_with_its_own_similarity(law):
    assert Unbounded(3, marginal="normal:1", conditional=law).identifies == "nothing"


def test_projecting_is_a_copy():
    z = np.array([[1e9, -3.0]])
    projected = Unbounded(2).project(z)
    assert np.array_equal(projected, z)
    assert not np.shares_memory(projected, z)


@pytest.mark.parametrize(
    "settings", [{"marginal": "uniform"}, {"conditional": "vmf:1"}, {"marginal": "vmf:1"}]
)
def test_laws_that_it_does_not_have_are_refused(settings):
    with pytest.raises(UsageError, match="a space without bounds has no"):
        Unbounded(3, **settings)


def test_nan_is_refused():
    with pytest.raises(DataError, match="NaN"):
        Unbounded(2).sample_conditional(Key.of(0), np.array([[0.0, np.nan]]))
