from __future__ import annotations

import io
import pickle

import numpy as np
import open_clip
import pytest
from PIL import Image

from lpcm.encoders.preprocess import Transform, rgb
from lpcm.errors import UsageError
from lpcm.plugin.contracts import Preprocess, Resize

MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
SIZES = [(97, 61), (61, 97), (224, 224), (33, 31), (500, 375), (1, 257), (225, 223)]


@pytest.mark.parametrize("resize", list(Resize))
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", SIZES)
def test_equals_open_clip_to_the_bit(picture, shape, interpolation, resize):
    if resize is Resize.LONGEST and min(shape) == 1:
        shape = (5, 257)  # open_clip's own resize fails when a side would round to no pixel
    record = Preprocess(
        size=33, resize=resize, interpolation=interpolation, mean=MEAN, std=STD, background=(0, 0, 0)
    )
    theirs = open_clip.image_transform(
        33,
        is_train=False,
        mean=MEAN,
        std=STD,
        resize_mode=resize.value,
        interpolation=interpolation,
        fill_color=0,
    )
    image = Image.fromarray(picture(*shape))
    # no tolerance: both do the same operations in single precision in the same order
    np.testing.assert_array_equal(Transform(record)(image), theirs(image).numpy())


def test_a_cut_after_a_larger_resize_equals_timm_to_the_bit(picture):
    from timm.data import create_transform

    record = Preprocess(size=33, resize_to=37, mean=MEAN, std=STD)
    theirs = create_transform((3, 33, 33), crop_pct=33 / 37, interpolation="bicubic", mean=MEAN, std=STD)
    image = Image.fromarray(picture(101, 67))
    np.testing.assert_array_equal(Transform(record)(image), theirs(image).numpy())


def test_the_table_gives_the_bits_of_the_whole_function(picture):
    transform = Transform(Preprocess(size=15, mean=MEAN, std=STD))
    image = Image.fromarray(picture())
    pixels = transform.pixels(image)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (15, 15, 3)
    by_table = np.stack([transform.table()[channel][pixels[..., channel]] for channel in range(3)])
    np.testing.assert_array_equal(by_table, transform(image))
    assert transform(image).dtype == np.float32


def test_transparency_shows_the_background():
    layer = Image.new("RGBA", (9, 7), (255, 0, 0, 0))
    assert rgb(layer, (10, 20, 30)).getpixel((3, 3)) == (10, 20, 30)
    assert rgb(layer).getpixel((0, 0)) == (255, 255, 255)
    half = Image.new("RGBA", (9, 7), (255, 0, 0, 128))
    red, green, blue = rgb(half, (0, 0, 0)).getpixel((0, 0))
    assert (green, blue) == (0, 0)
    assert abs(red - 128) <= 1  # alpha 128 of 255, rounded


@pytest.mark.parametrize("mode", ["LA", "PA", "La", "RGBa"])
def test_every_mode_with_alpha_is_composited(mode):
    clear = Image.new("RGBA", (5, 5), (0, 0, 0, 0))
    image = (
        Image.new("PA", (5, 5))
        if mode == "PA"
        else clear.convert("LA" if mode == "La" else "RGBA").convert(mode)
    )
    assert rgb(image, (1, 2, 3)).getpixel((2, 2)) == (1, 2, 3)


def test_a_transparent_palette_entry_shows_the_background():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    assert rgb(image).getpixel((0, 0)) == (200, 100, 50)
    image.info["transparency"] = 1
    assert rgb(image, (7, 8, 9)).getpixel((0, 0)) == (7, 8, 9)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("L", 77, 77),
        ("1", 1, 255),
        ("CMYK", (0, 0, 0, 0), 255),
        ("CMYK", (0, 0, 0, 255), 0),
        ("YCbCr", (200, 128, 128), 200),
    ],
)
def test_every_mode_becomes_rgb(mode, value, expected):
    image = rgb(Image.new(mode, (3, 5), value))
    assert image.mode == "RGB"
    assert image.getpixel((1, 1)) == (expected, expected, expected)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257, 1), (32896, 128), (65535, 255)])
def test_sixteen_bits_keep_their_range(value, expected):
    file = io.BytesIO()
    Image.fromarray(np.full((5, 3), value, np.uint16)).save(file, "png")
    assert rgb(Image.open(file)).getpixel((0, 0)) == (expected, expected, expected)
    assert rgb(Image.new("I", (3, 3), value)).getpixel((0, 0)) == (expected, expected, expected)


def test_floats_are_refused_because_their_range_is_unknown():
    with pytest.raises(ValueError, match="mode F"):
        rgb(Image.new("F", (3, 3), 0.5))


def test_the_orientation_of_a_camera_is_honoured(picture):
    upright = Image.fromarray(picture(31, 17))
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned: shown after a quarter turn
    file = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "png", exif=exif)
    turned = Image.open(file)
    assert turned.size == (17, 31)
    np.testing.assert_array_equal(np.asarray(rgb(turned)), np.asarray(upright))


def test_the_image_that_is_given_is_not_changed(picture):
    image = Image.fromarray(picture())
    before = image.tobytes()
    Transform(Preprocess(size=8))(image)
    assert image.tobytes() == before


def test_it_can_be_sent_to_a_worker(picture):
    transform = Transform(Preprocess(size=9))
    image = Image.fromarray(picture())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(transform))(image), transform(image))


def test_a_mistyped_interpolation_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'bicubic'"):
        Transform(Preprocess(size=8, interpolation="bicubik"))


@pytest.mark.parametrize("sizes", [{"size": 0}, {"size": 8, "resize_to": 0}])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(UsageError, match="1 or more"):
        Transform(Preprocess(**sizes))
