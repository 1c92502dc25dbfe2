"""Heads land in their space, learn its size where they should, and draw nothing from global generators."""

import numpy as np
import pytest
import torch

from lpcm.errors import UsageError
from lpcm.geometries.ball import Ball
from lpcm.geometries.box import Box
from lpcm.geometries.product import Product
from lpcm.geometries.sphere import Sphere
from lpcm.geometries.unbounded import Unbounded
from lpcm.keys import Key

SPACES = {
    "sphere": Sphere(3, extent="learned"),
    "box": Box(3, lower=-1, upper=2),
    "ball": Ball(3, radius=2, extent="learned"),
    "unbounded": Unbounded(3),
    "product": Product(3, factors="box:1+box:2"),
}


def rows(n, d_in, size=1.0):
    return size * torch.from_numpy(Key.of(0).generator().standard_normal((n, d_in))).float()


@pytest.mark.parametrize("name", SPACES)
def test_a_head_starts_in_its_space_from_weights_of_a_key(name):
    before = torch.get_rng_state()
    space = SPACES[name]
    first, second = space.head(17), space.head(17)
    assert torch.equal(before, torch.get_rng_state())
    states = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in states)
    z = first(rows(31, 17)).detach().double().numpy()
    np.testing.assert_allclose(space.project(z), z, atol=1e-6)  # a few roundings of fp32 at size 2


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("size", [0.0, 1e-6, 1e6])
def test_gradients_are_finite_from_the_origin_to_far_away(name, size):
    head = SPACES[name].head(17)
    x = rows(7, 17, size).requires_grad_()
    head(x).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def test_the_spheres_radius_is_learnt_only_where_asked_for():
    assert not list(Sphere(3).head(3).parameters())
    head = Sphere(3, extent="learned").head(3)
    (log_radius,) = head.parameters()
    with torch.no_grad():
        log_radius.fill_(np.log(5))
    torch.testing.assert_close(head(torch.tensor([[0.0, 3, 4]])), torch.tensor([[0.0, 3, 4]]))


def test_the_boxs_sides_are_learnt_one_by_one_and_its_corner_stays():
    head = Box(2, lower=-1, upper=1).head(2)
    (log_side,) = head.parameters()
    assert log_side.shape == (2,)
    with torch.no_grad():
        log_side.copy_(torch.tensor([1.0, 4.0]).log())
    far = torch.tensor([[-50.0, -50.0], [0, 0], [50, 50]])
    torch.testing.assert_close(head(far), torch.tensor([[-1.0, -1], [-0.5, 1], [0, 3]]))
    fixed = Box(2, lower=-1, upper=1, extent="fixed").head(2)
    assert not list(fixed.parameters())
    torch.testing.assert_close(fixed(far), torch.tensor([[-1.0, -1], [0, 0], [1, 1]]))


def test_the_balls_head_reaches_the_border_only_far_away():
    head = Ball(2, radius=3).head(2)
    assert not list(head.parameters())
    reached = head(torch.tensor([[3.0, 4.0], [0, 0], [3e6, 4e6]])).norm(dim=1)
    # |x| / sqrt(1 + |x|^2) of the radius.
    torch.testing.assert_close(reached, 3 * torch.tensor([5 / 26**0.5, 0, 1]))


def test_fixed_sides_move_with_the_module_and_are_kept_with_it():
    head = Box(2, extent="fixed").head(2).double()
    assert head(torch.zeros(1, 2, dtype=torch.float64)).dtype == torch.float64
    assert "log_side" in head.state_dict()


def test_the_unbounded_head_of_equal_width_does_nothing():
    x = rows(3, 3)
    assert torch.equal(Unbounded(3).head(3)(x), x)


def test_a_head_needs_an_input():
    with pytest.raises(UsageError, match="inputs of width 0"):
        Box(3).head(0)
