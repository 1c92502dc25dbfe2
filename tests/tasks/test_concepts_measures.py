"""Measures, images and purity of components: known distributions, known answers, chance beside each."""

import numpy as np
import pytest

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.tasks.concepts_images import STEPS, choose_images
from lpcm.tasks.concepts_measures import GAUSSIAN, Measures, Mixtures, Oriented, measure
from lpcm.tasks.concepts_purity import judge_purity

MANY = 100_003  # moments of fourth order are then good to a few per cent


def standard(draw):
    return Oriented.of(draw(Key.of(0).generator())[:, None]).values


def the(measures: Measures, name: str) -> float:
    return float(getattr(measures, name)[0])


@pytest.mark.parametrize("name", list(GAUSSIAN))
def test_gaussian_samples_give_what_is_said_of_gaussians(name):
    measures = measure(standard(lambda g: g.standard_normal(MANY)))
    # The standard error of the kurtosis is sqrt(24 / n) = 0.015; the others are tighter.
    assert the(measures, name) == pytest.approx(GAUSSIAN[name], abs=0.05 if name == "kurtosis" else 0.01)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("kurtosis", 3), ("hoyer", 1 - 0.5**0.5), ("gini", 0.5), ("treves_rolls", 0.25), ("active", 0.2431)],
)
def test_laplace_samples_give_the_closed_forms(name, expected):
    measures = measure(standard(lambda g: g.laplace(size=MANY)))
    # The standard error of a Laplace kurtosis is about 0.15 here, that of the others below 0.005.
    assert the(measures, name) == pytest.approx(expected, abs=0.4 if name == "kurtosis" else 0.015)


def test_non_gaussianity_sees_both_sides_of_gaussian():
    for draw in (lambda g: g.laplace(size=MANY), lambda g: g.uniform(size=MANY)):
        assert the(measure(standard(draw)), "nongaussianity") > 1e-4  # a Gaussian of this size: below 1e-6
    assert the(measure(standard(lambda g: g.standard_normal(MANY))), "nongaussianity") < 1e-5


def test_one_sample_alone_is_as_sparse_as_can_be_and_equal_sizes_not_at_all():
    one, equal = np.zeros((33, 1)), np.ones((33, 1))
    one[7] = 5.0
    equal[::2] = -1.0
    assert the(measure(one), "hoyer") == pytest.approx(1)
    assert the(measure(one), "gini") == pytest.approx(1 - 1 / 33)
    assert the(measure(equal), "hoyer") == pytest.approx(0)
    assert the(measure(equal), "gini") == pytest.approx(0)


def test_the_longer_tail_is_turned_up_and_other_samples_are_turned_with_it():
    codes = -Key.of(0).generator().exponential(size=(257, 1)) * 3 + 5
    view = Oriented.of(codes)
    assert view.sign.tolist() == [-1]
    assert the(measure(view.values), "skewness") > 0
    np.testing.assert_allclose(view.see(codes), view.values, atol=1e-5)  # float32


def test_a_constant_component_has_no_measures_and_does_no_harm():
    codes = np.stack([np.full(31, 0.1), np.arange(31.0)], axis=1).astype(np.float32)
    view = Oriented.of(codes)
    measures = measure(view.values)
    assert view.scale[0] == 0
    assert set(measures.of(0).values()) == {None}
    assert None not in measures.of(1).values()
    assert np.isfinite(view.see(codes)).all()
    assert measures.medians()["kurtosis"] == measures.of(1)["kurtosis"]


def test_codes_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="not finite"):
        Oriented.of(np.array([[0.0], [np.nan]]))


def test_independent_sources_are_further_from_gaussian_than_their_mixtures_and_gaussians_are_not():
    generator = Key.of(0).generator()
    laplace = Oriented.of(generator.laplace(size=(2001, 15))).values
    gaussian = Oriented.of(generator.standard_normal((2001, 15))).values
    for values, share in ((laplace, 1.0), (gaussian, 0.34)):
        above = measure(values).nongaussianity > Mixtures.of(values, Key.of(0)).nongaussianity()
        # 5 % of Gaussians are above by construction: 5 of 15 would be far out.
        assert above.mean() == 1.0 if share == 1.0 else above.mean() < share


def test_ends_are_the_extremes_and_the_strip_goes_up():
    values = Key.of(0).generator().laplace(size=(501, 3)).astype(np.float32)
    shown = choose_images(values, 1, 7, np.square(values, dtype=np.float64).sum(1))
    own = values[:, 1]
    assert own[shown.highest].tolist() == sorted(own, reverse=True)[:7]
    assert own[shown.lowest].tolist() == sorted(own)[:7]
    assert shown.quantiles == STEPS
    assert (np.diff(own[shown.steps]) > 0).all()
    for row, quantile in zip(shown.steps, STEPS, strict=True):
        assert (own < own[row]).mean() == pytest.approx(quantile, abs=0.012)  # half the window is 0.01


def test_a_step_takes_the_sample_whose_other_components_are_nearest_to_their_means():
    values = np.stack([np.arange(1001), np.full(1001, 9)], axis=1).astype(np.float32)
    values[[5, 493, 990], 1] = 0.5
    shown = choose_images(values, 0, 3, np.square(values, dtype=np.float64).sum(1))
    assert {5, 493, 990} <= set(shown.steps.tolist())


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_few_samples_are_shown_at_one_end_and_one_step_each(n):
    values = np.arange(n, dtype=np.float32)[:, None]
    shown = choose_images(values, 0, 8, np.square(values, dtype=np.float64).sum(1))
    assert len(shown.highest) == len(shown.lowest) == max(1, n // 2)
    assert len(set(shown.steps.tolist())) == len(shown.steps) == min(n, len(STEPS))


def purity_of(labels, values, names=("ant", "bee", "cat")):
    values = Oriented.of(values).values
    mixtures = Mixtures.of(values, Key.of(0))
    return judge_purity("class", labels, names, values, mixtures, 8, Key.of(0))


def test_a_component_that_tells_the_class_is_told_from_one_that_does_not():
    generator = Key.of(0).generator()
    labels = np.repeat(np.arange(3), 101)
    tells = (labels == 2) * 4.0 + 0.3 * generator.standard_normal(303)
    purity = purity_of(labels, np.stack([tells, generator.standard_normal(303)], axis=1))
    assert purity.entropy == pytest.approx(np.log2(3))
    assert purity.told[0] > 0.4  # one class of three apart: H(1/3) = 0.918 of 1.585 bits, less what bins lose
    assert purity.information_p[0] < 0.01
    assert abs(purity.told[1]) < 0.05  # 30 cells and 303 samples: chance itself is 0.04 bits
    assert (purity.purity[0], purity.names[purity.commonest[0]]) == (1.0, "cat")
    assert purity.purity_p[0] < 0.01 < purity.purity_p[1]
    assert 0.4 < purity.purity_chance < 0.65  # the commonest of 8 draws from three equal classes


def test_where_classes_lie_apart_mixtures_are_pure_too():
    generator = Key.of(0).generator()
    labels = np.repeat(np.arange(3), 101)
    apart = 6 * np.eye(3)[labels] + 0.3 * generator.standard_normal((303, 3))
    purity = purity_of(labels, apart)
    assert purity.facts()["purity_of_mixtures"] > 0.95
    assert purity.facts()["told_by_mixtures"] > 0.5


def test_one_class_alone_is_not_asked_about():
    assert purity_of(np.zeros(33, np.int64), Key.of(0).generator().laplace(size=(33, 2))) is None
