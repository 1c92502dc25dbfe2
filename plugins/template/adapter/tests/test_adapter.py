"""What this adapter, and not any adapter, should do."""

import numpy as np
from lpcm.keys import Key

from {{module}}.adapter import NearestMean


def test_logits_equal_the_literal_formula():
    generator = Key.of(0).generator()
    rows, labels = (
        generator.standard_normal((15, 7)).astype(np.float32),
        np.arange(15) % 3,
    )
    queries = generator.standard_normal((17, 7)).astype(np.float32)
    logits = (
        NearestMean(shares=(0.0,))
        .fit(rows, labels, classes=3, key=Key.of(0))
        .logits(queries)
    )
    means = np.stack(
        [rows[labels == label].astype(float).mean(axis=0) for label in range(3)]
    )
    literal = -((queries[:, None].astype(float) - means) ** 2).sum(axis=2) / 2
    # Up to a number for each query that all classes share; the rest is rounding of float64.
    gap = logits - literal
    np.testing.assert_allclose(gap, np.repeat(gap[:, :1], 3, axis=1), atol=1e-10)
