from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from lpcm.datasets.sources import ArrayImage, FileImage, PackedImage, fingerprints, is_image_name
from lpcm.errors import DataError
from lpcm.plugin.contracts import ImageSource


def sources(tmp_path):
    Image.new("RGB", (7, 3), (10, 20, 30)).save(tmp_path / "a.png")
    (tmp_path / "pack.bin").write_bytes(bytes(range(2 + 3 * 2 * 4)))
    return [
        FileImage(tmp_path / "a.png"),
        PackedImage(tmp_path / "pack.bin", 2, (3, 2, 4)),
        ArrayImage.of(np.arange(15, dtype=np.uint8).reshape(3, 5)),
    ]


def test_sources_keep_the_contract_and_survive_pickling(tmp_path, files):
    for source in sources(tmp_path):
        assert isinstance(source, ImageSource)
        copy = pickle.loads(pickle.dumps(source))
        assert copy == source
        assert copy.open().tobytes() == source.open().tobytes()
        assert copy.fingerprint(files) == source.fingerprint(files)


def test_a_file_source_is_small_to_send_to_a_worker(tmp_path):
    Image.new("RGB", (500, 500)).save(tmp_path / "a.bmp")
    assert len(pickle.dumps(FileImage(tmp_path / "a.bmp"))) < 500  # a path, not 750,000 bytes of pixels


def test_packed_pixels_are_read_channel_by_channel(tmp_path):
    image = sources(tmp_path)[1].open()
    assert (image.mode, image.size) == ("RGB", (4, 2))
    # offset 2, then a plane of 8 values each for red, green, blue
    assert image.getpixel((0, 0)) == (2, 10, 18)
    assert image.getpixel((3, 1)) == (9, 17, 25)


def test_a_packed_image_of_one_channel_is_grey(tmp_path):
    (tmp_path / "pack.bin").write_bytes(bytes(range(6)))
    image = PackedImage(tmp_path / "pack.bin", 0, (1, 2, 3)).open()
    assert (image.mode, image.size, image.getpixel((2, 1))) == ("L", (3, 2), 5)


def test_a_packed_image_beyond_the_end_names_the_file(tmp_path):
    (tmp_path / "pack.bin").write_bytes(bytes(10))
    with pytest.raises(OSError, match=r"pack\.bin.*8 of 12 bytes at offset 2.*cut off"):
        PackedImage(tmp_path / "pack.bin", 2, (3, 2, 2)).open()


def test_an_array_image_gives_its_pixels_back():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(ArrayImage.of(pixels).open()), pixels)


@pytest.mark.parametrize("array", [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros(4, np.uint8)])
def test_an_array_image_refuses_other_types_and_shapes(array):
    with pytest.raises(ValueError, match="expected"):
        ArrayImage.of(array)


def corrupt_files():
    whole = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 0, 0)).save(whole, "PNG")
    data = whole.getvalue()
    return {
        "empty.png": b"",
        "text.jpg": b"<html>404</html>",
        "cut.png": data[: len(data) // 2],
        "flipped.png": data[:20] + bytes(b ^ 255 for b in data[20:]),
    }


@pytest.mark.parametrize("name", corrupt_files())
def test_a_corrupt_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(corrupt_files()[name])
    with pytest.raises((OSError, ValueError), match=name) as caught:
        FileImage(tmp_path / name).open()
    assert "0x" not in str(
        caught.value
    )  # no address of a buffer: the same failure reads the same in every run


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        FileImage(tmp_path / "gone.png").open()


def test_an_image_too_large_to_be_safe_is_a_value_error_that_names_it(tmp_path, monkeypatch):
    Image.new("L", (50, 50)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses beyond twice as many
    with pytest.raises(ValueError, match=r"bomb\.png"):
        FileImage(tmp_path / "bomb.png").open()


def test_fingerprints_of_many_are_those_of_each(tmp_path, files):
    images = sources(tmp_path)
    assert fingerprints(images, files) == [image.fingerprint(files) for image in images]
    assert len(set(fingerprints(images, files))) == len(images)


def test_a_fingerprint_moves_with_the_bytes_and_the_place_in_the_file(tmp_path, files):
    first, packed, array = sources(tmp_path)
    before = fingerprints([first, packed], files)
    Image.new("RGB", (7, 3), (10, 20, 31)).save(first.path)
    packed.path.write_bytes(bytes(range(1, 27)))
    after = fingerprints([first, packed], files)
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert PackedImage(packed.path, 1, packed.shape).fingerprint(files) != after[1]
    assert ArrayImage(array.pixels, (5, 3)).fingerprint(files) != array.fingerprint(files)


def test_a_fingerprint_of_a_missing_file_says_which(tmp_path, files):
    with pytest.raises(DataError, match=r"gone\.png.*cannot be read"):
        fingerprints([FileImage(tmp_path / "gone.png")], files)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", True),
        ("A.JPEG", True),
        ("ü.webp", True),
        (".a.jpg", False),
        ("a.txt", False),
        ("jpg", False),
        (".png", False),
    ],
)
def test_images_are_known_by_their_suffix(name, expected):
    assert is_image_name(name) is expected
