"""The sphere's samples follow their densities, and its head lands on it."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import ive

import lpcm
from lpcm.errors import DataError, UsageError
from lpcm.geometries.laws import Law
from lpcm.geometries.records import RECORDS
from lpcm.geometries.sphere import Sphere
from lpcm.keys import Key

N = 4001
KOLMOGOROV = 1.95 / np.sqrt(N)  # a true sample is further off once in a thousand keys; these keys are fixed


def norms(z):
    return np.linalg.norm(z, axis=1)


@pytest.mark.parametrize("dim", [2, 3, 7, 129])
def test_the_marginal_is_uniform(dim):
    z = Sphere(dim).sample_marginal(Key.of(1), N)
    np.testing.assert_allclose(norms(z), 1, atol=1e-14)
    # A coordinate of a uniform point has (t + 1) / 2 ~ Beta((d - 1) / 2, (d - 1) / 2).
    law = stats.beta((dim - 1) / 2, (dim - 1) / 2)
    assert stats.kstest((z[:, dim // 2] + 1) / 2, law.cdf).statistic < KOLMOGOROV


@pytest.mark.parametrize("dim", [2, 3, 7, 129])
@pytest.mark.parametrize("kappa", [0.0, 0.5, 10.0, 1e4])
def test_cosines_have_the_mean_of_von_mises_and_fisher(dim, kappa):
    sphere = Sphere(dim, conditional=f"vmf:{kappa}")
    z = sphere.sample_marginal(Key.of(2), N)
    cosines = np.einsum("ij,ij->i", z, sphere.sample_conditional(Key.of(3), z))
    # The mean resultant length of the law: Mardia and Jupp 2000, section 9.3.
    expected = ive(dim / 2, kappa) / ive(dim / 2 - 1, kappa) if kappa else 0.0
    assert abs(cosines.mean() - expected) < 4 * cosines.std() / np.sqrt(N)


@pytest.mark.parametrize(("dim", "kappa"), [(2, 1.0), (3, 5.0), (7, 0.3), (7, 50.0), (33, 20.0)])
def test_partners_are_distributed_as_scipys(dim, kappa):
    sphere = Sphere(dim, conditional=f"vmf:{kappa}")
    mean = sphere.sample_marginal(Key.of(4), 1)
    ours = sphere.sample_conditional(Key.of(5), np.repeat(mean, N, axis=0))
    theirs = stats.vonmises_fisher(mean[0], kappa).rvs(N, random_state=np.random.default_rng(6))
    for direction in (mean[0], sphere.sample_marginal(Key.of(7), 1)[0]):
        # Two samples: the bound is sqrt(2) wider.
        assert stats.ks_2samp(ours @ direction, theirs @ direction).statistic < np.sqrt(2) * KOLMOGOROV


@pytest.mark.parametrize("law", ["normal:0.5", "laplace:0.5", "gennorm:0.5:3"])
def test_other_laws_are_noise_that_is_projected_back(law):
    read = Law.parse(law)
    noise = stats.gennorm(read.exponent, scale=read.radius).rvs(
        (N, 3), random_state=np.random.default_rng(11)
    )
    theirs = np.eye(3)[0] + noise
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    as_marginal = Sphere(3, marginal=law).sample_marginal(Key.of(12), N)
    mean = np.tile(np.eye(3)[0], (N, 1))
    as_conditional = Sphere(3, conditional=law).sample_conditional(Key.of(13), mean)
    for ours in (as_marginal, as_conditional):
        np.testing.assert_allclose(norms(ours), 1, atol=1e-14)
        for direction in (np.eye(3)[0], np.eye(3)[1], np.ones(3)):
            # Two samples: the bound is sqrt(2) wider.
            assert stats.ks_2samp(ours @ direction, theirs @ direction).statistic < np.sqrt(2) * KOLMOGOROV


@pytest.mark.parametrize("law", ["vmf:3", "normal:0.5"])
def test_pairs_are_symmetric_and_partners_as_uniform_as_latents(law):
    # The theorem needs p(z | z') to have the form of p(z' | z): both laws depend on z . z' alone.
    sphere = Sphere(3, conditional=law)
    z = sphere.sample_marginal(Key.of(14), N)
    partner = sphere.sample_conditional(Key.of(15), z)
    # On S^2 a coordinate is uniform (Archimedes).
    assert stats.kstest((partner[:, 2] + 1) / 2, "uniform").statistic < KOLMOGOROV
    forth, back = z[:, 0] ** 3 * partner[:, 0], partner[:, 0] ** 3 * z[:, 0]
    assert abs((forth - back).mean()) < 4 * (forth - back).std() / np.sqrt(N)


@pytest.mark.parametrize(
    ("settings", "similarity", "identifies", "matched_scale"),
    [
        ({}, "dot", "orthogonal", 1),
        ({"conditional": "vmf:10"}, "dot", "orthogonal", 10),
        ({"conditional": "vmf:10", "similarity": "sqeuclidean"}, "sqeuclidean", "orthogonal", 5),
        ({"conditional": "vmf:10", "similarity": "lp:2"}, "lp", "orthogonal", 5),
        ({"conditional": "vmf:10", "similarity": "l1"}, "l1", "nothing", None),
        ({"conditional": "vmf:0"}, "dot", "nothing", 0),
        ({"conditional": "normal:0.1"}, "sqeuclidean", "nothing", None),
        ({"conditional": "laplace:0.05"}, "l1", "nothing", None),
        ({"conditional": "laplace:0.05", "similarity": "dot"}, "dot", "nothing", None),
        ({"marginal": "normal:1"}, "dot", "nothing", 1),
    ],
)
def test_what_is_identified_follows_the_laws_and_the_similarity(
    settings, similarity, identifies, matched_scale
):
    sphere = Sphere(3, **settings)
    assert (sphere.similarity, sphere.identifies) == (similarity, identifies)
    assert sphere.matched_scale == matched_scale


@pytest.mark.parametrize("similarity", ["dot", "sqeuclidean"])
def test_the_loss_is_least_at_the_matched_scale(similarity):
    sphere = Sphere(5, conditional="vmf:10", similarity=similarity)
    z = sphere.sample_marginal(Key.of(16), 2049)
    x, y = torch.from_numpy(z), torch.from_numpy(sphere.sample_conditional(Key.of(17), z))
    at, below, above = (
        lpcm.contrastive_loss(x, y, scale * sphere.matched_scale, similarity=similarity).item()
        for scale in (1, 0.8, 1.25)
    )
    # Over keys these differences are 0.04 with a standard deviation of 0.007.
    assert at < below - 0.01
    assert at < above - 0.01


def test_the_component_across_has_no_preferred_direction():
    sphere = Sphere(5, conditional="vmf:3")
    mean = np.eye(5)[:1]
    across = sphere.sample_conditional(Key.of(8), np.repeat(mean, N, axis=0))[:, 1:]
    covariance = np.cov(across.T)
    spread = np.trace(covariance) / 4
    # Entries of a covariance of N samples are off by spread * sqrt(2 / N) = 0.022 spread.
    np.testing.assert_allclose(covariance / spread, np.eye(4), atol=0.1)


def test_a_strong_concentration_keeps_partners_close():
    sphere = Sphere(17, conditional="vmf:1e8")
    z = sphere.sample_marginal(Key.of(9), 257)
    # The distance is about sqrt((d - 1) / kappa) = 4e-4.
    assert norms(sphere.sample_conditional(Key.of(10), z) - z).max() < 2e-3


def test_samples_depend_on_the_key_alone():
    sphere = Sphere(3)
    z = sphere.sample_marginal(Key.of(0), 7)
    assert z.tobytes() == sphere.sample_marginal(Key.of(0), 7).tobytes()
    partner = sphere.sample_conditional(Key.of(0), z)
    assert partner.tobytes() == sphere.sample_conditional(Key.of(0), z).tobytes()
    assert partner.tobytes() != sphere.sample_conditional(Key.of(1), z).tobytes()


@pytest.mark.parametrize("size", [1e-200, 1e-3, 1.0, 1e200])
def test_projecting_divides_by_the_norm_at_any_size(size):
    z = np.array([[3.0, -4.0, 0.0]]) * size
    np.testing.assert_allclose(Sphere(3).project(z), [[0.6, -0.8, 0.0]], atol=1e-15)


def test_projecting_is_idempotent_and_sends_the_origin_to_the_first_axis():
    sphere = Sphere(4)
    z = sphere.project(np.vstack([np.zeros(4), np.eye(4)[2] * 5]))
    np.testing.assert_array_equal(z[0], [1, 0, 0, 0])
    np.testing.assert_allclose(sphere.project(z), z, atol=1e-16)


def test_the_head_lands_on_the_sphere_and_its_gradient_is_finite_at_the_origin():
    head = Sphere(5).head(17)
    x = torch.zeros(3, 17)
    x[1:] = torch.from_numpy(Key.of(0).generator().standard_normal((2, 17))).float()
    x.requires_grad_()
    z = head(x)
    assert z.shape == (3, 5)
    torch.testing.assert_close(z[1:].norm(dim=1), torch.ones(2))
    z.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_the_head_of_equal_width_only_normalises():
    head = Sphere(3).head(3)
    assert not list(head.parameters())
    torch.testing.assert_close(head(torch.tensor([[0.0, 3.0, 4.0]])), torch.tensor([[0.0, 0.6, 0.8]]))


def test_the_head_starts_the_same_and_moves_no_global_generator():
    before = torch.get_rng_state()
    first, second = Sphere(3).head(7), Sphere(3).head(7)
    assert torch.equal(first.linear.weight, second.linear.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_points_off_the_sphere_and_wrong_shapes_are_refused():
    sphere = Sphere(3)
    with pytest.raises(DataError, match="1 of 2 points are not on the unit sphere"):
        sphere.sample_conditional(Key.of(0), np.array([[1.0, 0, 0], [1, 1, 0]]))
    with pytest.raises(DataError, match=r"shape \(2, 4\): expected \(n, 3\)"):
        sphere.project(np.ones((2, 4)))
    with pytest.raises(DataError, match="NaN"):
        sphere.project(np.full((1, 3), np.nan))


@pytest.mark.parametrize(("dim", "kappa"), [(1, 1.0), (3, -1.0), (3, float("inf")), (3, float("nan"))])
def test_spaces_that_cannot_be_are_refused(dim, kappa):
    with pytest.raises(UsageError, match="expected"):
        Sphere(dim, conditional=f"vmf:{kappa}")


def test_laws_that_a_sphere_does_not_have_are_refused():
    with pytest.raises(
        UsageError, match="a sphere has no conditional 'uniform': expected one of vmf, laplace"
    ):
        Sphere(3, conditional="uniform")
    with pytest.raises(UsageError, match="a sphere has no marginal 'vmf:1'"):
        Sphere(3, marginal="vmf:1")


def test_the_record_says_what_the_sphere_identifies():
    (record,) = [record for record in RECORDS if record.name == "sphere"]
    assert record.identifies == Sphere(3).identifies
    assert {param.name: param.default for param in record.params}["conditional"] == str(Sphere(3).conditional)
