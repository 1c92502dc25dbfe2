from __future__ import annotations

import pytest
import timm
import torch

from lpcm.encoders.timm import TimmEncoder, preprocess_of
from lpcm.encoders.towers import private_init
from lpcm.errors import DataError, MissingError, UsageError
from lpcm.plugin.contracts import Encoder, Precision, Preprocess, Resize
from lpcm.plugin.records import Modality

NAMES = ["test_resnet.r160_in1k", "test_vit.r160_in1k", "test_efficientnet.r160_in1k"]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Random weights of timm's test models, in files."""
    folder = tmp_path_factory.mktemp("timm")
    found = {}
    for name in NAMES:
        with private_init():
            model = timm.create_model(name, pretrained=False).eval()
        torch.save(model.state_dict(), folder / f"{name}.pth")
        found[name] = (model, folder / f"{name}.pth")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_features_are_the_pooled_ones_before_the_classifier(checkpoints, options, name):
    model, path = checkpoints[name]
    encoder = TimmEncoder(options(argument=name, weights=path))
    assert isinstance(encoder, Encoder)
    assert encoder.modalities == {Modality.IMAGE}
    size = encoder.preprocess.size
    pixels = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    found = encoder.encode_images(pixels)
    assert found.shape == (3, encoder.dim)
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(pixels), pre_logits=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)  # order of fp32 sums


def test_a_name_without_a_tag_means_timms_default(checkpoints, options):
    _, path = checkpoints["test_vit.r160_in1k"]
    encoder = TimmEncoder(options(argument="test_vit", weights=path))
    assert encoder.name == "timm:test_vit.r160_in1k"


def test_weights_of_another_model_are_refused(checkpoints, options):
    _, path = checkpoints["test_vit.r160_in1k"]
    encoder = TimmEncoder(options(argument="test_resnet.r160_in1k", weights=path))
    with pytest.raises(DataError, match="does not fit timm:test_resnet"):
        encoder.encode_images(torch.zeros(1, 3, 160, 160))


def test_weights_without_their_classifier_are_refused_rather_than_half_loaded(checkpoints, options, tmp_path):
    model, _ = checkpoints["test_vit.r160_in1k"]
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("blocks.0.")}
    torch.save(state, tmp_path / "less.pth")
    encoder = TimmEncoder(options(argument="test_vit.r160_in1k", weights=tmp_path / "less.pth"))
    with pytest.raises(DataError, match="Missing key"):
        encoder.encode_images(torch.zeros(1, 3, 160, 160))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet5", "did you mean 'resnet50'"),
        ("resnet50.a1_in2k", "did you mean 'resnet50.a1"),
        ("", "Type for example"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(options, name, hint):
    with pytest.raises(UsageError) as caught:
        TimmEncoder(options(argument=name))
    assert hint in caught.value.hint


def test_without_weights_and_network_the_ways_out_are_named(options):
    with pytest.raises(MissingError) as caught:
        TimmEncoder(options(argument="resnet50.a1_in1k")).digest()
    assert "hf download timm/resnet50.a1_in1k model.safetensors" in caught.value.hint


def test_a_digest_moves_with_name_weights_and_precision(checkpoints, options, tmp_path):
    _, vit = checkpoints["test_vit.r160_in1k"]
    other = tmp_path / "other.pth"
    other.write_bytes(vit.read_bytes() + b"\0")
    digests = {
        TimmEncoder(options(argument="test_vit.r160_in1k", **given)).digest()
        for given in ({"weights": vit}, {"weights": other}, {"weights": vit, "precision": Precision.BF16})
    }
    assert len(digests) == 3


def test_bf16_is_close_and_handed_on_as_fp32(checkpoints, options):
    _, path = checkpoints["test_vit.r160_in1k"]
    pixels = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    given = {"argument": "test_vit.r160_in1k", "weights": path}
    exact = TimmEncoder(options(**given)).encode_images(pixels)
    found = TimmEncoder(options(**given, precision=Precision.BF16)).encode_images(pixels)
    assert found.dtype == torch.float32
    assert (found - exact).norm() < 0.05 * exact.norm()  # 8 significant bits through a few blocks


def test_it_reads_no_text(checkpoints, options):
    _, path = checkpoints["test_vit.r160_in1k"]
    with pytest.raises(UsageError, match="no text"):
        TimmEncoder(options(argument="test_vit", weights=path)).encode_texts(["a"])


BASE = {
    "input_size": (3, 224, 224),
    "mean": (0.5, 0.25, 0.0),
    "std": (1.0, 1.0, 1.0),
    "interpolation": "bilinear",
}


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"crop_pct": 0.95}, {"resize": Resize.SHORTEST, "resize_to": 235}),
        ({"crop_pct": 1.0}, {"resize": Resize.SHORTEST}),
        ({"crop_pct": 1.0, "crop_mode": "squash"}, {"resize": Resize.SQUASH}),
        ({"crop_pct": 1.0, "crop_mode": "border"}, {"resize": Resize.LONGEST, "background": (128, 64, 0)}),
    ],
)
def test_timms_configuration_becomes_a_record(extra, expected):
    found = preprocess_of({**BASE, **extra})
    assert found == Preprocess(
        size=224, interpolation="bilinear", mean=(0.5, 0.25, 0.0), std=(1.0, 1.0, 1.0), **expected
    )


@pytest.mark.parametrize(
    "extra",
    [{"input_size": (3, 224, 192)}, {"input_size": (1, 224, 224)}, {"crop_mode": "squash", "crop_pct": 0.9}],
)
def test_what_a_record_cannot_say_is_refused(extra):
    with pytest.raises(UsageError):
        preprocess_of({**BASE, **extra})
