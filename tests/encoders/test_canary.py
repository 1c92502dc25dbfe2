from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lpcm.encoders import canary
from lpcm.encoders.architectures import of_pair
from lpcm.encoders.open_clip import OpenClipEncoder
from lpcm.errors import DataError
from lpcm.plugin.contracts import Canary, Precision, Resize
from lpcm.plugin.records import Modality

IMAGE, TEXT = Modality.IMAGE, Modality.TEXT


@pytest.fixture
def make(tiny_clip, options):
    """Encoders on the same tiny weights, with whatever differs."""

    def encoder(arch="lpcm-tiny", precision=Precision.FP32, **preprocess):
        plan = of_pair(arch)
        plan = replace(plan, preprocess=replace(plan.preprocess, **preprocess))
        return OpenClipEncoder(plan, options(weights=tiny_clip.checkpoint, precision=precision))

    return encoder


@pytest.fixture
def recorded(make):
    return Canary(values=canary.fingerprint(make()))


def test_the_probes_are_the_same_bytes_for_ever():
    state = hashlib.sha256()
    for image in canary.probe_images():
        assert image.width % 2 == 1
        assert image.height % 2 == 1
        state.update(f"{image.mode}{image.size}".encode() + image.tobytes())
    state.update("\n".join(canary.probe_texts()).encode())
    # Recorded canaries of plugins rest on these bytes: change them only together with canary.PROBES.
    assert canary.PROBES == 1
    assert state.hexdigest() == "e380ed3e1030429e6c8b80c9ac213bc734362fc27a163bb65d64d6fb6b9abc61"


def test_a_probe_text_is_longer_than_any_context():
    assert max(len(text.split()) for text in canary.probe_texts()) > 3_000


def test_the_same_encoder_matches(make, recorded):
    encoder = make()
    encoder.canary = recorded
    finding = canary.check(encoder)
    assert finding.verdict is canary.Verdict.MATCHED
    assert (
        max(finding.distances.values()) < 1e-5
    )  # same machine, same arithmetic: only the rounding to 6 decimals


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16])
def test_a_lower_precision_matches_within_its_rounding(make, recorded, precision):
    encoder = make(precision=precision)
    encoder.canary = recorded
    finding = canary.check(encoder)
    assert finding.verdict is canary.Verdict.MATCHED
    assert max(finding.distances.values()) > 0


@pytest.mark.parametrize(
    "change",
    [
        {"interpolation": "bilinear"},
        {"interpolation": "nearest"},
        {"mean": (0.5, 0.5, 0.5)},
        {"std": (0.5, 0.5, 0.5)},
        {"resize": Resize.SQUASH},
        {"resize_to": 36},
        {"background": (0, 0, 0)},
        {"arch": "lpcm-tiny-quickgelu"},
    ],
    ids=str,
)
def test_a_change_of_preprocessing_or_activation_is_noticed(make, recorded, change):
    encoder = make(**change)
    encoder.canary = recorded
    with pytest.raises(canary.CanaryError, match=r"image features of probe \d are off by"):
        canary.check(encoder)


def test_a_shorter_context_is_noticed(make, recorded):
    encoder = make()
    whole = encoder._tokenizer

    def shorter(texts):
        return torch.nn.functional.pad(whole(texts, context_length=40), (0, 37))

    encoder.__dict__["_tokenizer"] = shorter
    encoder.canary = recorded
    with pytest.raises(canary.CanaryError, match="text features of probe 4"):
        canary.check(encoder)


def test_other_weights_are_noticed(make, recorded):
    encoder = make()
    with torch.no_grad():
        encoder._model.visual.conv1.weight.mul_(1.05)
    encoder.canary = recorded
    with pytest.raises(canary.CanaryError):
        canary.check(encoder)


def test_first_answers_are_trusted_and_kept(make, tmp_path):
    assert canary.check(make(), tmp_path).verdict is canary.Verdict.FIRST_USE
    assert canary.check(make(), tmp_path).verdict is canary.Verdict.MATCHED
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["encoder"] == "open-clip:lpcm-tiny"


def test_after_the_first_use_the_same_weights_must_answer_alike(make, tmp_path):
    canary.check(make(), tmp_path)
    with pytest.raises(canary.CanaryError, match="rm ") as caught:
        canary.check(make(interpolation="bilinear"), tmp_path)
    assert str(tmp_path) in caught.value.hint
    with pytest.raises(canary.CanaryError):
        canary.check(make(arch="lpcm-tiny-quickgelu"), tmp_path)


def test_each_precision_has_its_own_first_use(make, tmp_path):
    canary.check(make(), tmp_path)
    assert canary.check(make(precision=Precision.BF16), tmp_path).verdict is canary.Verdict.FIRST_USE
    assert canary.check(make(precision=Precision.BF16), tmp_path).verdict is canary.Verdict.MATCHED


def test_without_a_memory_nothing_is_kept(make):
    assert canary.check(make()).verdict is canary.Verdict.FIRST_USE


def test_a_damaged_record_is_named(make, tmp_path):
    canary.check(make(), tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text("{}")
    with pytest.raises(DataError, match="not a canary record"):
        canary.check(make(), tmp_path)


def test_features_that_are_not_finite_are_named(make):
    encoder = make()
    encoder.encode_texts = lambda texts: torch.full((len(texts), 24), torch.nan)
    with pytest.raises(canary.CanaryError, match="not finite"):
        canary.fingerprint(encoder)


def test_a_canary_for_a_modality_that_is_gone_fails(make, recorded):
    encoder = make()
    encoder.modalities = frozenset({IMAGE})
    encoder.canary = recorded
    with pytest.raises(canary.CanaryError, match="text"):
        canary.check(encoder)


def test_the_fingerprint_does_not_see_the_length_of_features(make):
    encoder = make()
    whole = encoder.encode_images
    before = canary.fingerprint(encoder)[IMAGE]
    encoder.encode_images = lambda images: 3 * whole(images)
    np.testing.assert_allclose(canary.fingerprint(encoder)[IMAGE], before, atol=2e-6)  # 6 decimals are kept


def test_a_distance_is_that_of_the_worst_probe():
    expected = [1.0] * canary.PROJECTIONS * 3
    found = list(expected)
    found[canary.PROJECTIONS] = 1.5
    apart, probe = canary.distance(expected, found)
    assert probe == 1
    assert apart == pytest.approx(0.5 / canary.PROJECTIONS**0.5)
    assert canary.distance(expected, found[:-1])[0] == np.inf
