"""Rows of overlapping classes and prompts near their centres, for tests of adapters that use both."""

import numpy as np

from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

CLASSES, D = 5, 17


def draw(n, name):
    """Rows whose classes overlap, so that settings matter: (n, d) float32 and labels, the classes in turn."""
    generator = Key.of(0).fold("drawn", name).generator()
    labels = np.arange(n, dtype=np.int64) % CLASSES
    return (CENTRES[labels] + 1.1 * generator.standard_normal((n, D))).astype(np.float32), labels


CENTRES = Key.of(99).fold("centres").generator().standard_normal((CLASSES, D))
TRAIN, VAL, TEST = draw(65, "train"), draw(33, "val"), draw(129, "test")
PROMPTS = TextPrompts(
    (CENTRES + 1.3 * Key.of(98).fold("prompts").generator().standard_normal((CLASSES, D))).astype(np.float32),
    tuple(f"class {label}" for label in range(CLASSES)),
)
