"""Sheets hold the right images in the right places; tables and page hold all numbers and nothing foreign."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from lpcm.keys import Key
from lpcm.tasks.concepts_canvas import as_jpeg, fitted, font, plain
from lpcm.tasks.concepts_page import as_csv, as_json, as_page, text_line
from lpcm.tasks.concepts_sheet import (
    FEWEST_COLUMNS,
    GAP,
    MARGIN,
    SMALL,
    Picture,
    Sheet,
    draw_overview,
    draw_sheet,
    sheet_size,
)

SIDE = 64
CLOSE = 12  # levels of 255: what JPEG changes in a plain square


def colour(number):
    return tuple(int(v) for v in Key.of(0).fold("colour", number).generator().integers(40, 216, 3))


def picture(number, value=1.0, label="ant"):
    return Picture(Image.new("RGB", (SIDE, SIDE), colour(number)), value, label)


def sheet(images=7, steps=9, **changes):
    values = Key.of(0).generator().laplace(size=257).astype(np.float32)
    fields = {
        "place": 3,
        "identified": True,
        "numbers": "one line\nanother",
        "values": values,
        "highest": tuple(picture(i, 5 - i / 10) for i in range(images)),
        "lowest": tuple(picture(100 + i, -2) for i in range(images)),
        "steps": tuple(picture(200 + i) for i in range(steps)),
        "quantiles": tuple(np.linspace(0.01, 0.99, steps).tolist()),
        "upper_texts": "* cat 5.0",
        "lower_texts": "dog 2.0",
    }
    return Sheet(**{**fields, **changes})


def at(image, x, y):
    return np.array(Image.open(io.BytesIO(as_jpeg(image))).convert("RGB"), dtype=int)[y, x]


def test_a_sheet_has_its_size_and_each_image_its_place():
    image = draw_sheet(sheet(), SIDE, 7)
    width, height = sheet_size(SIDE, 7)
    assert image.size == (width, height)
    assert width == 2 * MARGIN + FEWEST_COLUMNS * SIDE + (FEWEST_COLUMNS - 1) * GAP
    top = MARGIN + 128 + 26 + SIDE // 2
    below = 26 + SIDE + 48
    for number in range(7):
        x = MARGIN + number * (SIDE + GAP) + SIDE // 2
        assert np.abs(at(image, x, top) - colour(number)).max() <= CLOSE
        assert np.abs(at(image, x, top + below) - colour(100 + number)).max() <= CLOSE
    strip = top - SIDE // 2 + 2 * below + 10
    step = (width - 2 * MARGIN) / 9
    for number in range(9):
        x = round(MARGIN + number * step + step / 2)
        assert np.abs(at(image, x, strip) - colour(200 + number)).max() <= CLOSE


def test_nothing_is_drawn_into_the_margins():
    pixels = np.array(draw_sheet(sheet(images=11, steps=5), SIDE, 11))
    for border in (
        pixels[: MARGIN - 2],
        pixels[2 - MARGIN :],
        pixels[:, : MARGIN - 2],
        pixels[:, 2 - MARGIN :],
    ):
        assert (border == 255).all()


def test_the_overview_has_a_line_for_each_component_with_the_extremes_beside_the_values():
    image = draw_overview("title", "note", [sheet(), sheet(identified=False)])
    first = MARGIN + 84 + 6 + SMALL // 2
    for line in range(2):
        y = first + line * (SMALL + 16)
        for number in range(4):
            x = MARGIN + 120 + number * (SMALL + 4) + SMALL // 2
            assert np.abs(at(image, x, y) - colour(100 + number)).max() <= CLOSE
            assert np.abs(at(image, x + 4 * (SMALL + 4) + 212, y) - colour(number)).max() <= CLOSE
    assert image.height == MARGIN + 84 + 2 * (SMALL + 16) + MARGIN


def test_whether_it_was_identified_can_be_seen():
    yes, no = (np.array(draw_sheet(sheet(identified=found), SIDE, 7)) for found in (True, False))
    assert (yes != no).any()


@pytest.mark.parametrize(
    "text", ["猫と犬", "مرحبا", "Größe d'œuf", "\u0000\u202e\ttab\nline", "🙂" * 300, ""]
)
def test_no_script_breaks_a_sheet(text):
    named = sheet(upper_texts=text, lower_texts=text, highest=(picture(1, label=text),))
    assert draw_sheet(named, SIDE, 7).size == sheet_size(SIDE, 7)
    assert draw_overview(text, text, [named]).height > 0


def test_accents_come_off_and_long_text_is_cut_to_the_room():
    assert plain("Größe  d'un\nœuf à l'été") == "Grosse d'un oeuf a l'ete"
    short = fitted("a very long sentence about an otter " * 9, 12, 90)
    assert short.endswith("...")
    assert font(12).getlength(short) <= 90
    assert fitted("otter", 12, 90) == "otter"


def test_values_of_one_size_and_a_single_value_have_a_distribution_too():
    for values in (np.zeros(31, np.float32), np.array([2.5], np.float32)):
        assert draw_sheet(sheet(values=values), SIDE, 7).size == sheet_size(SIDE, 7)


COMPONENTS = [
    {
        "component": 4,
        "identified": True,
        "agreement": 0.97,
        "kurtosis": 3.25,
        "upper_texts": [{"text": "<b>cat & dog", "source": "classes", "score": 4.25}],
        "upper_text_stands_out": True,
        "lower_texts": [{"text": "猫", "source": "file", "score": 2.0}],
        "lower_text_stands_out": False,
    },
    {"component": 0, "identified": False, "agreement": None, "kurtosis": None},
]


def test_tables_hold_every_number():
    told = json.loads(as_json({"title": "t"}, COMPONENTS))
    assert (told["schema"], told["components"]) == ("lpcm.concepts/1", COMPONENTS)
    lines = list(csv.DictReader(io.StringIO(as_csv(COMPONENTS).decode())))
    assert [line["component"] for line in lines] == ["4", "0"]
    assert (lines[0]["lower_texts"], lines[1]["agreement"]) == ("猫", "")


def test_the_page_needs_only_files_beside_it_and_escapes_what_it_shows():
    page = as_page("a < b", ["x & y"], COMPONENTS, [4], overview=True).decode()
    assert "a &lt; b" in page
    assert "x &amp; y" in page
    assert "&lt;b&gt;cat &amp; dog 4.2" in page
    assert "<script" not in page
    assert "//" not in re.sub(r"<!.*?>", "", page)
    linked = set(re.findall(r'(?:src|href)="([^"#]+)"', page))
    assert linked == {"overview.jpg", "component-004.jpg", "concepts.csv", "concepts.json"}


def test_a_star_says_that_a_text_stands_out():
    assert text_line(COMPONENTS[0], "upper") == "* <b>cat & dog 4.2"
    assert text_line(COMPONENTS[0], "lower") == "猫 2.0"
    assert text_line(COMPONENTS[1], "upper") == ""
