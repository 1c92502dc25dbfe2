"""Measures of features: known clouds give known numbers, and nulls say what nothing gives."""

import numpy as np
import pytest

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.theory import shape
from lpcm.theory.advice import Evidence, Pipeline, advise

KEY = Key.of(0)


def normal(n, d):
    return KEY.fold(n, d).generator().standard_normal((n, d))


def test_equal_variances_fill_all_directions_and_one_fills_one():
    assert shape.effective_rank(np.ones(7)) == pytest.approx(7)
    assert shape.participation_ratio(np.ones(7)) == pytest.approx(7)
    alone = np.array([1.0, 0, 0])
    assert shape.effective_rank(alone) == shape.participation_ratio(alone) == 1
    assert shape.sphericity(alone) == pytest.approx(1 / 3)


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_two_neighbours_tell_the_dimension_of_a_flat_sheet(dim):
    sheet = KEY.generator().uniform(size=(1001, dim)) @ normal(dim, 9)
    # Spread of the estimate is d / sqrt(n); uniform sheets lose some to their edges.
    assert shape.two_nn(sheet, KEY) == pytest.approx(dim, rel=0.15)


def test_repeated_rows_do_not_make_a_dimension_of_zero():
    rows = KEY.generator().uniform(size=(301, 2))
    assert shape.two_nn(np.repeat(rows, 3, axis=0), KEY) == pytest.approx(shape.two_nn(rows, KEY))


def test_uniform_directions_meet_their_null_and_a_cone_does_not():
    even = shape.shape_of(normal(1001, 5), KEY)
    cone = shape.shape_of(normal(1001, 5) + 9 * np.eye(1, 5), KEY)
    # 20,000 pairs tell log-means to a few hundredths.
    assert even["uniformity"].value == pytest.approx(even["uniformity"].null, abs=0.05)
    assert cone["uniformity"].value > cone["uniformity"].null + 0.5
    assert cone["mean_direction"].value > 0.9 > even["mean_direction"].value


def test_norms_that_are_equal_have_no_spread():
    assert shape.shape_of(shape.unit(normal(101, 5)), KEY)["norm_spread"].value < 1e-12


def test_pairs_that_belong_together_are_nearer_than_strangers_and_a_shift_is_a_gap():
    images = normal(501, 5)
    same = shape.pairs_of(images, images + 0.1 * normal(501, 5)[::-1], KEY)
    shifted = shape.pairs_of(images, images + 5 * np.eye(1, 5), KEY)
    assert same["alignment"].value < 0.1 < same["alignment"].null
    assert same["modality_gap"].value < 0.05
    assert shifted["modality_gap"].value > 0.5 > shifted["modality_gap"].null


def test_axes_of_laplace_sources_stand_out_from_rotations_and_of_normal_ones_do_not():
    laplace = KEY.generator().laplace(size=(3001, 5))
    assert shape.kurtosis(laplace).mean() > shape.rotated_kurtosis(laplace, KEY).mean(1).max() + 0.5
    gaussian = normal(3001, 5)
    # Both are noise of standard error sqrt(24 / n) a component.
    assert shape.kurtosis(gaussian).mean() < shape.rotated_kurtosis(gaussian, KEY).mean(1).max() + 0.2


@pytest.mark.parametrize(
    "rows",
    [np.zeros((9, 3)), np.full((9, 3), np.nan), np.ones((9, 3)), np.eye(2)],
    ids=["zero", "nan", "constant", "few"],
)
def test_clouds_that_have_no_shape_are_refused(rows):
    with pytest.raises(DataError):
        shape.shape_of(rows, KEY)


@pytest.mark.parametrize(
    ("evidence", "pipeline"),
    [
        (Evidence(0.0, 0.9, 0.1, 0.2), Pipeline.NONE),
        (Evidence(0.0, 0.1, 0.1, 0.2), Pipeline.WHITEN),
        (Evidence(0.0, 0.1, 2.0, 0.2), Pipeline.ICA),
        (Evidence(0.3, 0.1, 2.0, 0.2), Pipeline.PCA_ICA),
    ],
)
def test_advice_follows_from_its_evidence_and_says_so(evidence, pipeline):
    advice = advise(evidence)
    assert advice.pipeline is pipeline
    assert advice.sentence.startswith(f"{pipeline.value}: ")
    assert f"{evidence.kurtosis:.2f}" in advice.sentence
