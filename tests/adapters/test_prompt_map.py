"""Prompts behind a disentangler lie among the images that it was fitted on, whatever length those have."""

import numpy as np
import pytest

from lpcm.adapters.prompt_map import in_space
from lpcm.disentanglers.none import Identity
from lpcm.disentanglers.whiten import Whiten
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

CLASSES = ("a", "b", "c")


def rows():
    generator = Key.of(0).fold("rows").generator()
    labels = np.arange(211) % 3
    centres = generator.standard_normal((3, 13)) + 2.0  # a mean far from 0, as encoders' features have
    features = centres[labels] + 0.3 * generator.standard_normal((211, 13))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    prompts = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    return unit.astype(np.float32), labels, TextPrompts(prompts.astype(np.float32), CLASSES)


@pytest.mark.parametrize("length", [1.0, 10.0])
def test_prompts_are_as_near_to_their_images_at_any_length_of_the_features(length):
    unit, labels, prompts = rows()
    features = (length * unit).astype(np.float32)
    whiten = Whiten(k=7, random_state=0).fit(features)
    mapped = in_space(prompts, whiten, features).features
    images = whiten.transform(features)
    cosines = mapped @ images.T / np.linalg.norm(mapped, axis=1)[:, None] / np.linalg.norm(images, axis=1)
    assert (cosines.argmax(0) == labels).mean() > 0.95  # classes are 10 spreads apart


def test_the_length_of_features_does_not_show_behind_whitening():
    unit, _, prompts = rows()
    long = (10 * unit).astype(np.float32)
    near = in_space(prompts, Whiten(k=7, random_state=0).fit(unit), unit).features
    far = in_space(prompts, Whiten(k=7, random_state=0).fit(long), long).features
    # float32 rows: directions agree to about 1e-6 of the largest, times the condition of the covariance.
    np.testing.assert_allclose(np.abs(far), np.abs(near), atol=1e-3 * np.abs(near).max())


def test_nothing_happens_to_prompts_behind_none():
    unit, _, prompts = rows()
    long = (10 * unit).astype(np.float32)
    assert in_space(prompts, Identity(random_state=0).fit(long), long) is prompts
