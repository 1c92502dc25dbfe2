"""What this task, and not any task, should do."""

import numpy as np
from lpcm.keys import Key

from {{module}}.task import _spoil


def test_the_share_of_wrong_labels_is_the_one_asked_for():
    labels = np.arange(4001) % 5
    spoilt = _spoil(labels, 5, 0.5, Key.of(0))
    # Half are drawn again, one in five of those rightly: 0.4 expected, standard deviation 0.008.
    assert abs((spoilt != labels).mean() - 0.4) < 0.04
