"""What this disentangler, and not any disentangler, should do."""

import numpy as np
from lpcm.keys import Key

from {{module}}.disentangler import Varimax


def test_peaked_sources_are_found_again(synthetic_pairs):
    pairs = synthetic_pairs(4, 4001, Key.of(0), noise=0.0)
    codes = Varimax(random_state=1).fit(pairs.x).transform(pairs.x)
    cosines = np.abs(np.corrcoef(codes.T, pairs.z.T)[:4, 4:])
    # Each component is one source; estimation error of 4001 rows is about 2 %.
    assert (cosines.max(axis=1) > 0.95).all()
    assert sorted(cosines.argmax(axis=1)) == [0, 1, 2, 3]
