"""What this metric, and not any metric, should do."""

import numpy as np

from {{module}}.metric import Kappa


def test_a_table_computed_by_hand_is_met():
    # 20 agree on 0, 15 on 1, 5 + 10 disagree: observed 0.7, expected 0.5, so 0.4 (rounding of float64).
    truth = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
    prediction = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    assert abs(Kappa()(truth, prediction) - 0.4) < 1e-12
