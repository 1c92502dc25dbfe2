from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lpcm_lite import canary
from lpcm_lite.encoders.heads import Lite0Heads, Lite0Mix
from lpcm_lite.encoders.towers import PREPROCESS, Lite0, Lite0Raw

from lpcm.encoders.canary import CanaryError, Verdict, check
from lpcm.plugin.contracts import EncoderOptions, Precision
from lpcm.store.files import FileDigests


@pytest.mark.parametrize("name", ["lite0", "lite0_raw"])
def test_the_encoders_answer_the_probes_as_recorded(name: str, request: pytest.FixtureRequest) -> None:
    finding = check(request.getfixturevalue(name))
    assert finding.verdict is Verdict.MATCHED
    # 4e-6 was the most with another number of threads; another processor may order sums in other ways
    assert max(finding.distances.values()) < 3e-4


@pytest.mark.parametrize(("make", "precision"), [(Lite0Raw, Precision.FP16), (Lite0, Precision.BF16)])
def test_half_precision_is_still_the_same_encoder(
    make: type[Lite0Raw], precision: Precision, files: FileDigests
) -> None:
    assert check(make(EncoderOptions(files=files, precision=precision))).verdict is Verdict.MATCHED


@pytest.mark.parametrize(
    "changed",
    [
        {"interpolation": "bilinear"},
        {"interpolation": "lanczos"},
        {"mean": (0.485, 0.456, 0.406)},
        {"mean": (0.5, 0.5, 0.5)},
        {"resize_to": 232},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["lite0", "lite0_raw"])
def test_changed_preprocessing_is_caught(
    name: str, changed: dict[str, object], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = request.getfixturevalue(name)
    monkeypatch.setattr(encoder, "preprocess", replace(PREPROCESS, **changed))  # type: ignore[arg-type]
    with pytest.raises(CanaryError, match="image features"):
        check(encoder)


@pytest.mark.parametrize("name", ["lite0", "lite0_raw"])
def test_a_changed_activation_is_caught(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = request.getfixturevalue(name)
    monkeypatch.setitem(encoder._images.network._blocks[5]._modules, "_swish", torch.nn.SiLU())
    with pytest.raises(CanaryError, match="image features"):
        check(encoder)


def test_a_changed_context_length_is_caught(lite0: Lite0, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite0._texts.model, "max_seq_length", 128)
    with pytest.raises(CanaryError, match="text features"):
        check(lite0)


def test_recording_again_gives_the_packaged_file(
    lite0: Lite0, lite0_raw: Lite0Raw, files: FileDigests
) -> None:
    options = EncoderOptions(files=files)
    found = canary.record([lite0, lite0_raw, Lite0Heads(options), Lite0Mix(options)])
    packaged = json.loads((Path(canary.__file__).parent / "canary.json").read_text())
    assert found["probes"] == packaged["probes"]
    assert found["encoders"].keys() == packaged["encoders"].keys()
    for name, modalities in packaged["encoders"].items():
        for modality, values in modalities.items():
            # numbers of size 1 whose last bits depend on the processor
            assert found["encoders"][name][modality] == pytest.approx(values, abs=1e-3)
