"""A product is its parts, drawn independently; parts whose losses differ are refused with the reason."""

import numpy as np
import pytest
import torch

from lpcm.errors import DataError, UsageError
from lpcm.geometries.factors import Part, parts_of
from lpcm.geometries.product import Product
from lpcm.geometries.sphere import Sphere
from lpcm.keys import Key

N = 4001


@pytest.mark.parametrize(
    ("text", "dim", "widths"),
    [
        ("sphere:3+sphere:2", 5, (3, 2)),
        ("sphere+sphere", 5, (3, 2)),
        ("sphere:2+box+box", 7, (2, 3, 2)),
        ("box", 4, (4,)),
    ],
)
def test_widths_are_given_or_shared(text, dim, widths):
    assert tuple(part.dim for part in parts_of(text, dim)) == widths


def test_a_name_may_begin_with_its_distribution():
    assert parts_of("lpcm:sphere:3+box", 5) == (Part("lpcm:sphere", 3), Part("box", 2))


@pytest.mark.parametrize(
    ("text", "dim", "said"),
    [
        ("sphere:3+sphere:2", 6, "do not add up to a latent of 6"),
        ("sphere:3+sphere:2", 4, "do not add up"),
        ("sphere:3+sphere", 3, "do not add up"),
        ("sphere:0+sphere", 3, "has no width"),
        ("sphere:3+", 5, "empty name"),
        ("", 5, "empty name"),
        ("sphere:3+spere:2", 5, "no geometry is called 'spere'"),
        ("sphere:3+sphere:1", 4, "a sphere of dimension 1"),
    ],
)
def test_parts_that_cannot_be_are_refused(text, dim, said):
    with pytest.raises(UsageError, match=said):
        Product(dim, factors=text)


def test_each_part_is_drawn_as_it_is_alone_and_by_a_key_of_its_own():
    space = Product(6, factors="sphere:3+sphere:3", conditional="vmf:5+vmf:500")
    z = space.sample_marginal(Key.of(0), N)
    partner = space.sample_conditional(Key.of(1), z)
    alone = Sphere(3, conditional="vmf:500")
    key = Key.of(0).fold("part", 1)
    np.testing.assert_array_equal(z[:, 3:], alone.sample_marginal(key, N))
    np.testing.assert_array_equal(
        partner[:, 3:], alone.sample_conditional(Key.of(1).fold("part", 1), np.ascontiguousarray(z[:, 3:]))
    )
    # Parts are independent: correlations of N pairs have standard deviation 1 / sqrt(N).
    assert np.abs(np.corrcoef(z.T)[:3, 3:]).max() < 4 / np.sqrt(N)


@pytest.mark.parametrize(
    ("settings", "similarity", "identifies"),
    [
        ({"factors": "sphere+sphere", "conditional": "vmf:5"}, "dot", "orthogonal"),
        ({"factors": "sphere+sphere", "conditional": "vmf:5+vmf:50"}, "dot", "nothing"),
        ({"factors": "box+box", "conditional": "laplace:0.1"}, "l1", "permutation"),
        ({"factors": "box+box", "conditional": "laplace:0.1+laplace:0.3"}, "l1", "permutation"),
        ({"factors": "box+box", "conditional": "normal:0.1+normal:0.3"}, "sqeuclidean", "linear"),
        ({"factors": "box+ball", "conditional": "laplace:0.1"}, "l1", "permutation"),
        ({"factors": "box+ball", "conditional": "laplace:0.1+laplace:0.3"}, "l1", "nothing"),
        ({"factors": "box+ball", "conditional": "normal:0.1"}, "sqeuclidean", "orthogonal"),
        ({"factors": "box+unbounded", "conditional": "laplace:0.1", "marginal": "uniform+normal:1"}, "l1", "nothing"),
        ({"factors": "box+box", "conditional": "laplace:0.1", "similarity": "lp:3"}, "lp", "nothing"),
    ],
)  # fmt: skip
def test_the_whole_identifies_what_its_weakest_part_does_at_one_scale(settings, similarity, identifies):
    space = Product(5, **settings)
    assert (space.similarity, space.identifies) == (similarity, identifies)


def test_a_sphere_and_a_box_go_together_by_the_squared_distance():
    # kappa z . z' is -kappa / 2 |z - z'|^2 on the sphere: the scale of normal:s at s = kappa^(-1/2).
    space = Product(5, factors="sphere:3+box:2", conditional="vmf:25+normal:0.2", similarity="sqeuclidean")
    assert space.matched_scale == pytest.approx(12.5)
    assert space.identifies == "orthogonal"


def test_parts_of_different_similarities_are_refused_with_the_reason():
    with pytest.raises(
        UsageError, match="different similarities: sphere dot, box l1; one loss has one"
    ) as caught:
        Product(5, factors="sphere+box")
    assert "similarity=... for all" in caught.value.hint
    with pytest.raises(UsageError, match=r"box lp \(p = 3\), box lp \(p = 4\)"):
        Product(5, factors="box+box", conditional="gennorm:0.1:3+gennorm:0.1:4")


def test_laws_are_one_for_all_or_one_for_each():
    with pytest.raises(UsageError, match="2 laws for 3 parts"):
        Product(9, factors="box+box+box", conditional="laplace:1+laplace:2")
    with pytest.raises(UsageError, match="a sphere has no conditional 'uniform'"):
        Product(5, conditional="uniform")


def test_projecting_and_refusing_go_part_by_part():
    space = Product(4, factors="sphere:2+sphere:2")
    np.testing.assert_allclose(space.project(np.array([[3.0, 4, 0, 2]])), [[0.6, 0.8, 0, 1]])
    with pytest.raises(DataError, match="not on the unit sphere"):
        space.sample_conditional(Key.of(0), np.array([[1.0, 0, 1, 1]]))
    with pytest.raises(DataError, match=r"shape \(1, 3\): expected \(n, 4\)"):
        space.project(np.ones((1, 3)))


def test_parts_of_equal_width_do_not_start_as_copies():
    head = Product(6, factors="sphere:3+sphere:3").head(17)
    z = head(torch.from_numpy(Key.of(2).generator().standard_normal((31, 17))).float())
    torch.testing.assert_close(z[:, :3].norm(dim=1), torch.ones(31))
    torch.testing.assert_close(z[:, 3:].norm(dim=1), torch.ones(31))
    assert (z[:, :3] - z[:, 3:]).abs().min(dim=1).values.max() > 0.1
