"""Zero-shot is the cosine with the class prompts, and nothing else."""

import numpy as np
import pytest

from lpcm.adapters.zero_shot import ZeroShot
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

generator = Key.of(0).fold("zero-shot").generator()
PROMPTS = TextPrompts(generator.standard_normal((3, 17)).astype(np.float32), ("a", "b", "c"))
NOTHING = (np.zeros((0, 17), np.float32), np.zeros(0, np.int64))


def test_logits_are_cosines():
    images = 7 * generator.standard_normal((33, 17)).astype(np.float32)
    logits = ZeroShot().fit(*NOTHING, classes=3, key=Key.of(0), text=PROMPTS).logits(images)
    for i, j in np.ndindex(33, 3):
        a, b = images[i].astype(np.float64), PROMPTS.features[j].astype(np.float64)
        assert logits[i, j] == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)), abs=1e-12)


def test_the_prompt_itself_is_its_class():
    adapter = ZeroShot().fit(*NOTHING, classes=3, key=Key.of(0), text=PROMPTS)
    assert adapter.logits(PROMPTS.features).argmax(1).tolist() == [0, 1, 2]
    assert adapter.report() == {}


def test_an_encoder_without_text_is_refused():
    with pytest.raises(UsageError, match="reads no text"):
        ZeroShot().fit(*NOTHING, classes=3, key=Key.of(0))


def test_mismatched_classes_and_widths_are_named():
    with pytest.raises(DataError, match="prompts of 3 classes: expected 4"):
        ZeroShot().fit(*NOTHING, classes=4, key=Key.of(0), text=PROMPTS)
    with pytest.raises(DataError, match="width 5 and text features 17"):
        ZeroShot().fit(*NOTHING, classes=3, key=Key.of(0), text=PROMPTS).logits(np.zeros((1, 5), np.float32))
