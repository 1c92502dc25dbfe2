from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lpcm_lite.datasets.emoji import Emoji
from lpcm_lite.encoders import conse
from lpcm_lite.encoders.towers import PREPROCESS, Lite0, Lite0Raw

from lpcm.encoders.preprocess import Transform
from lpcm.errors import UsageError
from lpcm.plugin.contracts import Encoder, EncoderOptions, Precision
from lpcm.plugin.guard import changed_generators, forbid_network, random_states
from lpcm.plugin.records import Modality
from lpcm.store.files import FileDigests

# A row moves in its last bits with its batch, because libraries order sums by shape: 1e-6 was seen.
BATCH = 1e-4
TEXTS = ("a photo of a cat.", "a kitten", "", "une locomotive à vapeur", "word " * 700)


@pytest.fixture(scope="module")
def pixels(emoji: Emoji) -> torch.Tensor:
    transform = Transform(PREPROCESS)
    chosen = [sample.image for sample in emoji.samples("test")[::110]]
    return torch.from_numpy(np.stack([transform(image.open()) for image in chosen if image is not None]))


def test_preprocessing_gives_the_bytes_the_weights_were_trained_on() -> None:
    # (byte - 127) / 128 in fp32: three roundings of numbers below 2, so off by less than 4e-7
    expected = (np.arange(256) - 127) / 128
    assert np.abs(Transform(PREPROCESS).table() - expected).max() < 4e-7


def test_the_pair_is_an_encoder(lite0: Lite0, lite0_raw: Lite0Raw) -> None:
    assert isinstance(lite0, Encoder)
    assert isinstance(lite0_raw, Encoder)
    assert (lite0.dim, lite0_raw.dim) == (384, 1280)
    assert lite0_raw.modalities == {Modality.IMAGE}


def test_images_and_texts_are_unit_vectors_of_one_space(lite0: Lite0, pixels: torch.Tensor) -> None:
    images, texts = lite0.encode_images(pixels), lite0.encode_texts(TEXTS)
    assert images.shape == (len(pixels), 384)
    assert texts.shape == (len(TEXTS), 384)
    assert images.dtype == texts.dtype == torch.float32
    for rows in (images, texts):
        # a sum of 384 squares in fp32
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)), atol=1e-5, rtol=0)


def test_no_text_gives_no_row(lite0: Lite0) -> None:
    assert lite0.encode_texts([]).shape == (0, 384)


def test_raw_features_are_pooled_and_not_scaled(lite0_raw: Lite0Raw, pixels: torch.Tensor) -> None:
    rows = lite0_raw.encode_images(pixels)
    assert rows.shape == (len(pixels), 1280)
    assert rows.dtype == torch.float32
    assert rows.min() >= 0  # the mean of a ReLU6
    assert rows.max() <= 6
    assert rows.norm(dim=1).std() > 0.1


@pytest.mark.parametrize("name", ["lite0", "lite0_raw"])
def test_a_row_does_not_depend_on_its_batch(
    name: str, pixels: torch.Tensor, request: pytest.FixtureRequest
) -> None:
    encoder = request.getfixturevalue(name)
    together = encoder.encode_images(pixels)
    alone = torch.cat([encoder.encode_images(row[None]) for row in pixels])
    assert ((together - alone).norm(dim=1) / together.norm(dim=1)).max() < BATCH


def test_a_text_does_not_depend_on_its_batch(lite0: Lite0) -> None:
    together = lite0.encode_texts(TEXTS)
    alone = torch.cat([lite0.encode_texts([text]) for text in TEXTS])
    assert (together - alone).norm(dim=1).max() < BATCH


def test_texts_of_like_meaning_are_near(lite0: Lite0) -> None:
    cat, kitten, _, engine, _ = lite0.encode_texts(TEXTS)
    assert cat @ kitten > cat @ engine + 0.1


def test_drawings_are_nearest_to_their_names_far_more_often_than_by_chance(
    lite0: Lite0, emoji: Emoji
) -> None:
    # Things that ImageNet has classes of. 9 of 21 were right here, chance gives 1; with the classifier's outputs
    # and the class names in different orders it is chance.
    names = [
        "umbrella",
        "strawberry",
        "zebra",
        "lemon",
        "banana",
        "gorilla",
        "peacock",
        "trolleybus",
        "pretzel",
        "broccoli",
        "backpack",
        "scorpion",
        "snail",
        "pineapple",
        "hammer",
        "screwdriver",
        "pizza",
        "flamingo",
        "hot dog",
        "rugby football",
        "bell pepper",
    ]
    drawn = {
        sample.captions[0]: sample.image
        for split in emoji.splits
        for sample in emoji.samples(split)
        if sample.domain == "twemoji" and sample.image is not None
    }
    transform = Transform(PREPROCESS)
    images = lite0.encode_images(
        torch.from_numpy(np.stack([transform(drawn[name].open()) for name in names]))
    )
    right = (images @ lite0.encode_texts(names).T).argmax(dim=1) == torch.arange(len(names))
    assert right.sum() >= 6


def test_an_image_of_one_certain_class_is_the_text_of_its_name(lite0: Lite0) -> None:
    names = conse.class_names()
    logits = torch.zeros(1, len(names))
    logits[0, 207] = 100.0
    row = conse.mix(logits, lite0.encode_texts(names))
    assert names[207] == "Golden Retriever"
    # the other nine of the ten weigh exp(-100) together
    torch.testing.assert_close(row, lite0.encode_texts([names[207]]), atol=1e-5, rtol=0)


def test_a_mixture_equals_its_literal_formula() -> None:
    generator = torch.Generator().manual_seed(7)
    logits = torch.randn(3, 17, generator=generator)
    vectors = torch.nn.functional.normalize(torch.randn(17, 5, generator=generator), dim=1)
    for row, scores in zip(conse.mix(logits, vectors), logits, strict=True):
        shares = scores.double().exp() / scores.double().exp().sum()
        best = sorted(range(17), key=lambda i: -shares[i])[: conse.TOP]
        expected = sum(shares[i] * vectors[i].double() for i in best)
        # fp32 sums of ten terms
        torch.testing.assert_close(row.double(), expected / expected.norm(), atol=1e-6, rtol=0)


def test_classifier_outputs_and_class_names_are_in_one_order(lite0: Lite0) -> None:
    assert len(conse.class_names()) == 1000
    assert lite0._images.network._fc.out_features == 1000


@pytest.mark.parametrize("make", [Lite0, Lite0Raw])
def test_digest_moves_with_precision_and_preprocessing_only(make: type[Lite0Raw], files: FileDigests) -> None:
    plain = make(EncoderOptions(files=files))
    assert plain.digest() == make(EncoderOptions(files=files, device="cuda", offline=True)).digest()
    others = {make(EncoderOptions(files=files, precision=precision)).digest() for precision in Precision}
    assert len(others) == 3
    changed = make(EncoderOptions(files=files))
    changed.preprocess = None
    assert changed.digest() not in others


def test_the_two_encoders_have_different_digests(lite0: Lite0, lite0_raw: Lite0Raw) -> None:
    assert lite0.digest() != lite0_raw.digest()
    assert lite0.weights_digest() != lite0_raw.weights_digest()


def test_building_and_digest_import_no_torch(in_fresh_process: Callable[[str], str]) -> None:
    code = (
        "import sys\n"
        "from lpcm.plugin.contracts import EncoderOptions\n"
        "from lpcm.store.files import FileDigests\n"
        "from lpcm_lite.encoders.towers import lite0, lite0_raw\n"
        "with FileDigests(None) as files:\n"
        "    [make(EncoderOptions(files=files)).digest() for make in (lite0, lite0_raw)]\n"
        "print(sorted({'torch', 'open_clip', 'sentence_transformers'} & set(sys.modules)))"
    )
    assert in_fresh_process(code) == "[]"


def test_loading_and_encoding_touch_no_generator_and_no_network(files: FileDigests) -> None:
    encoder = Lite0(EncoderOptions(files=files))
    before = random_states()
    with forbid_network() as tried:
        encoder.encode_images(torch.zeros(1, 3, 224, 224))
        encoder.encode_texts(["a cat"])
    assert not tried
    assert not changed_generators(before, random_states())


def test_loading_prints_nothing(files: FileDigests, capfd: pytest.CaptureFixture[str]) -> None:
    Lite0(EncoderOptions(files=files)).encode_texts(["a cat"])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("precision", "worst"), [(Precision.FP16, 0.02), (Precision.BF16, 0.3)])
def test_half_precision_gives_fp32_features_near_those_of_fp32(
    precision: Precision, worst: float, lite0: Lite0, files: FileDigests, pixels: torch.Tensor
) -> None:
    # Photographs: fp16 moved raw features by at most 0.008 of their norm, bf16 by at most 0.071 (32 of them);
    # drawings have flat areas, where roundings do not cancel.
    half = Lite0Raw(EncoderOptions(files=files, precision=precision)).encode_images(pixels)
    full = lite0._images.features(pixels)
    assert half.dtype == torch.float32
    apart = (half - full).norm(dim=1) / full.norm(dim=1)
    assert 0 < apart.median() < worst


def test_weights_and_arguments_are_refused_with_another_way(files: FileDigests) -> None:
    with pytest.raises(UsageError, match="timm:tf_efficientnet_lite0"):
        Lite0(EncoderOptions(files=files, weights=Path("mine.pth")))
    with pytest.raises(UsageError, match="--encoder lite0-raw"):
        Lite0Raw(EncoderOptions(files=files, argument="large"))


def test_text_is_refused_where_there_is_no_text_tower(lite0_raw: Lite0Raw) -> None:
    with pytest.raises(UsageError, match="--encoder lite0 "):
        lite0_raw.encode_texts(["a cat"])
