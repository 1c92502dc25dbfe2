"""Laws and similarities are read from texts; what no density has is refused with the text to type."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from lpcm.errors import UsageError
from lpcm.geometries.draws import free_mass
from lpcm.geometries.laws import Law, LawName, law_of
from lpcm.geometries.similarities import Similarity


@pytest.mark.parametrize(
    ("text", "name", "numbers"),
    [
        ("uniform", LawName.UNIFORM, ()),
        ("vmf:0", LawName.VMF, (0.0,)),
        ("vmf:1e4", LawName.VMF, (1e4,)),
        ("laplace:0.1", LawName.LAPLACE, (0.1,)),
        (" normal:.05 ", LawName.NORMAL, (0.05,)),
        ("gennorm:0.1:3", LawName.GENNORM, (0.1, 3.0)),
        ("gennorm:0.1:1", LawName.GENNORM, (0.1, 1.0)),
    ],
)
def test_a_law_is_read_from_its_text_and_says_it_again(text, name, numbers):
    law = Law.parse(text)
    assert (law.name, law.numbers) == (name, numbers)
    assert Law.parse(str(law)) == law


def test_a_law_says_its_numbers_as_they_were_typed():
    assert str(Law.parse("gennorm:0.1:3")) == "gennorm:0.1:3"


@pytest.mark.parametrize(
    ("text", "said", "typed"),
    [
        ("laplase:0.1", "expected one of uniform, vmf, laplace", "did you mean 'laplace'"),
        ("", "expected one of", "type for example"),
        ("laplace", "0 of the 1 numbers of 'laplace:b'", "type for example laplace:0.1"),
        ("gennorm:0.1", "1 of the 2 numbers of 'gennorm:s:p'", "type for example gennorm:0.1:3"),
        ("uniform:1", "1 of the 0 numbers", "type for example uniform"),
        ("vmf:1:2", "2 of the 1 numbers", "type for example vmf:10"),
        ("vmf:ten", "something else than numbers", "type for example vmf:10"),
        ("vmf:-1", "kappa = -1: expected a finite number of 0 or more", "vmf:10"),
        ("vmf:inf", "kappa = inf", "vmf:10"),
        ("vmf:nan", "kappa = nan", "vmf:10"),
        ("laplace:0", "b = 0: expected a finite number above 0", "laplace:0.1"),
        ("normal:-0.1", "s = -0.1: expected a finite number above 0", "normal:0.05"),
        ("gennorm:0.1:0.5", "p = 0.5: expected a finite number of 1 or more", "gennorm:0.1:3"),
        ("gennorm:0:3", "s = 0: expected a finite number above 0", "gennorm:0.1:3"),
    ],
)
def test_what_no_density_has_is_refused(text, said, typed):
    with pytest.raises(UsageError) as caught:
        Law.parse(text)
    assert said in caught.value.message
    assert typed in caught.value.hint


def test_a_law_must_be_a_text():
    with pytest.raises(UsageError, match="expected a text"):
        Law.parse(0.1)


def test_a_law_that_the_space_lacks_is_refused_with_those_that_it_has():
    with pytest.raises(UsageError, match="a box has no conditional 'vmf:1': expected one of laplace, normal"):
        law_of("box", "conditional", "vmf:1", (LawName.LAPLACE, LawName.NORMAL))


@pytest.mark.parametrize("text", ["laplace:0.3", "normal:0.3", "gennorm:0.3:3", "gennorm:2:1"])
def test_the_radius_is_where_the_density_has_fallen_by_e_and_the_mass_is_its_integral(text):
    law = Law.parse(text)
    density = {
        LawName.LAPLACE: lambda u: math.exp(-abs(u) / law.scale),
        LawName.NORMAL: lambda u: math.exp(-(u**2) / (2 * law.scale**2)),
        LawName.GENNORM: lambda u: math.exp(-((abs(u) / law.scale) ** law.exponent)),
    }[law.name]
    assert density(law.radius) == pytest.approx(math.exp(-1), rel=1e-14)
    assert free_mass(law) == pytest.approx(2 * quad(density, 0, np.inf)[0], rel=1e-8)  # quad's own goal
    # exp(scale * -|u|^p) is the density.
    assert math.exp(-law.matched_scale * 0.2**law.exponent) == pytest.approx(density(0.2), rel=1e-14)


def test_numbers_that_a_law_does_not_have_are_not_made_up():
    assert Law.parse("vmf:7").matched_scale == 7
    with pytest.raises(AttributeError, match="laplace:1 has no kappa"):
        _ = Law.parse("laplace:1").kappa
    with pytest.raises(AttributeError, match="vmf:1 has no scale"):
        _ = Law.parse("vmf:1").scale


@pytest.mark.parametrize(
    ("law", "name", "p"),
    [
        ("vmf:3", "dot", 2),
        ("laplace:1", "l1", 1),
        ("normal:1", "sqeuclidean", 2),
        ("gennorm:1:3", "lp", 3),
        ("gennorm:1:1.5", "lp", 1.5),
    ],
)
def test_each_law_has_its_similarity(law, name, p):
    similarity = Similarity.of(Law.parse(law))
    assert similarity == Similarity(name, p)
    assert similarity.goes_with(Law.parse(law))


def test_a_similarity_of_the_same_power_goes_with_a_law_and_another_does_not():
    assert Similarity.parse("sqeuclidean").goes_with(Law.parse("gennorm:1:2"))
    assert Similarity.parse("lp:1").goes_with(Law.parse("laplace:1"))
    assert not Similarity.parse("l1").goes_with(Law.parse("normal:1"))
    assert not Similarity.parse("dot").goes_with(Law.parse("normal:1"))
    assert not Similarity.parse("lp:3").goes_with(Law.parse("gennorm:1:4"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("l2", "expected one of dot, l1, sqeuclidean, lp:P"),
        ("dot:1", "a number that dot does not take"),
        ("lp", "has no power"),
        ("lp:0.5", "of 1 or more"),
        ("lp:inf", "has no power"),
        ("lp:three", "has no power"),
    ],
)
def test_similarities_that_the_loss_lacks_are_refused(text, said):
    with pytest.raises(UsageError, match=said):
        Similarity.parse(text)
