"""The text tower of lite0 given word vectors says what it says of the words, and lets a gradient reach them alone."""

import pytest
import torch
from lpcm_lite.encoders.towers import lite0

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.plugin.contracts import EncoderOptions
from lpcm.store.files import FileDigests

NAMES = ("cat", "grand piano", "Faces easy", "okapi")


@pytest.fixture(scope="module")
def encoder():
    return lite0(EncoderOptions(files=FileDigests(None), offline=True))


def test_a_context_of_words_is_zero_shot_with_that_template(encoder):
    tuner = encoder.prompt_tuner()
    # Float32 in another batch, with other padding.
    close = {"rtol": 0, "atol": 1e-5}
    context = tuner.context_of("a photo of a")
    assert context.shape == (4, tuner.width)
    torch.testing.assert_close(
        tuner.encode(context, NAMES), encoder.encode_texts([f"a photo of a {n}." for n in NAMES]), **close
    )
    torch.testing.assert_close(
        tuner.encode(context, NAMES, before=2),
        encoder.encode_texts([f"a photo {n} of a." for n in NAMES]),
        **close,
    )


def test_a_gradient_reaches_the_context_and_nothing_else(encoder):
    with torch.inference_mode():
        encoder.encode_texts(["loaded before"])
    tuner = encoder.prompt_tuner()
    context = torch.randn(4, 3, tuner.width, generator=Key.of(0).torch_generator()).requires_grad_()
    tuner.encode(context, NAMES)[:, 0].sum().backward()
    assert context.grad.abs().sum() > 0
    assert all(not p.requires_grad and p.grad is None for p in encoder._texts.model.parameters())


def test_a_prompt_that_the_tower_would_cut_is_refused_by_its_name(encoder):
    tuner = encoder.prompt_tuner()
    with pytest.raises(DataError, match="make a prompt of 257 tokens: the text tower reads 256"):
        tuner.encode(torch.zeros(253, tuner.width), NAMES[:1])
