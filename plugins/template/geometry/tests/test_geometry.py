"""What this geometry, and not any geometry, should do."""

import numpy as np
from lpcm.keys import Key

from {{module}}.geometry import Ball


def test_half_of_the_points_lie_within_the_radius_that_halves_the_volume():
    radii = np.linalg.norm(Ball(3).sample_marginal(Key.of(0), 4001), axis=1)
    # The share is binomial: its standard deviation is 0.008 for 4001 points; five of them are allowed.
    assert abs((radii < 0.5 ** (1 / 3)).mean() - 0.5) < 0.04
