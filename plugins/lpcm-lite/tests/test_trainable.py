"""Towers of the embedded encoders as modules to be trained: the same features, and no weight shared."""

from __future__ import annotations

import pytest
import torch
from lpcm_lite.encoders.heads import Lite0Heads
from lpcm_lite.encoders.towers import Lite0, Lite0Raw

from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import EncoderOptions
from lpcm.plugin.records import Modality
from lpcm.store.files import FileDigests

TEXTS = ["a cat", "a much longer text, of more words than the others have", "dog"]


def test_the_image_tower_is_that_of_lite0_raw(lite0_raw: Lite0Raw) -> None:
    images = torch.randn(2, 3, 224, 224, generator=Key.of(0).torch_generator())
    expected = lite0_raw.encode_images(images)
    module = lite0_raw.trainable(Modality.IMAGE).module
    # Without a gradient torch may fold batch normalisation in another order.
    torch.testing.assert_close(module(images), expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        for parameter in module.parameters():
            assert parameter.requires_grad
            parameter.zero_()
    assert torch.equal(lite0_raw.encode_images(images), expected)


def test_the_text_tower_is_that_of_lite0(lite0: Lite0) -> None:
    expected = lite0.encode_texts(TEXTS)
    tower = lite0.trainable(Modality.TEXT)
    assert tower.tokenise is not None
    tokens = tower.tokenise(TEXTS)
    torch.testing.assert_close(tower.module(tokens), expected, rtol=0, atol=1e-5)  # unit rows in fp32
    # Padding has no part: alone, a text is as short as it is.
    torch.testing.assert_close(tower.module(tokens[2:]), expected[2:], rtol=0, atol=1e-5)
    tower.module(tokens).square().sum().backward()
    assert all(parameter.grad is not None for parameter in tower.module.parameters())


@pytest.mark.parametrize(
    ("make", "modality"),
    [(Lite0, Modality.IMAGE), (Lite0Heads, Modality.TEXT), (Lite0Raw, Modality.TEXT)],
)
def test_features_of_no_tower_of_their_own_are_refused(
    make: type[Lite0Raw], modality: Modality, files: FileDigests
) -> None:
    with pytest.raises(UsageError, match=r"cannot be trained|reads no text") as caught:
        make(EncoderOptions(files=files, offline=True)).trainable(modality)
    assert "--text-encoder lite0" in caught.value.hint
