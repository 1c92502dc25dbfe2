"""One eigen decomposition serves all: it equals an SVD, whichever side of the matrix is the longer."""

import numpy as np
import pytest

from lpcm.disentanglers.spectrum import Spectrum
from lpcm.errors import DataError


@pytest.mark.parametrize("shape", [(33, 129), (129, 33), (31, 31), (2, 7), (9001, 3)])
def test_axes_and_scales_are_those_of_an_svd(shape):
    X = np.random.default_rng(1).standard_normal(shape)
    spectrum = Spectrum.of(X)
    _, scales, axes = np.linalg.svd(X - X.mean(0), full_matrices=False)
    scales /= np.sqrt(len(X))
    assert spectrum.rank == min(shape[0] - 1, shape[1])
    # Squaring in the Gram matrix costs half of float64's 16 digits at worst.
    np.testing.assert_allclose(spectrum.scales, scales[: spectrum.rank], rtol=1e-8)
    cosines = np.abs(np.einsum("ij,ij->i", spectrum.axes, axes[: spectrum.rank]))
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


def test_axes_have_their_largest_entry_positive(wide):
    axes = Spectrum.of(wide).axes
    assert (axes[np.arange(len(axes)), np.abs(axes).argmax(1)] > 0).all()


def test_rows_in_another_order_give_the_same_bytes(wide):
    shuffled = wide[np.random.default_rng(0).permutation(len(wide))]
    first, second = Spectrum.of(wide), Spectrum.of(shuffled)
    assert first.axes.tobytes() == second.axes.tobytes()
    assert first.mean.tobytes() == second.mean.tobytes()


def test_duplicated_features_do_not_count_into_the_rank(tall):
    assert Spectrum.of(np.hstack([tall, tall])).rank == tall.shape[1]


def test_rounding_around_a_large_mean_does_not_count_into_the_rank():
    thin = np.random.default_rng(0).standard_normal((257, 2)) @ np.ones((2, 15)) + 1000
    assert Spectrum.of(thin.astype(np.float32)).rank == 1


def test_constant_features_are_counted(tall):
    padded = np.hstack([tall, np.full((len(tall), 3), 2.5, np.float32)])
    spectrum = Spectrum.of(padded)
    assert spectrum.constant == 3
    assert spectrum.rank == tall.shape[1]


def test_features_that_are_all_constant_are_refused():
    with pytest.raises(DataError, match="all 5 features are constant over 7 rows"):
        Spectrum.of(np.ones((7, 5), np.float32))


def test_nan_and_infinity_are_counted_by_row_and_column(tall):
    bad = tall.copy()
    bad[3, 1], bad[3, 2], bad[8, 2] = np.nan, np.inf, -np.inf
    with pytest.raises(DataError, match="in 2 of 1501 rows and 2 of 17 columns"):
        Spectrum.of(bad)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (0, 5), (2, 3, 4)])
def test_what_is_not_a_matrix_of_two_rows_is_refused(shape):
    with pytest.raises(DataError, match="expected"):
        Spectrum.of(np.zeros(shape, np.float32))


def test_whole_numbers_are_read_as_floats():
    assert Spectrum.of(np.arange(12).reshape(4, 3)).rank == 1
