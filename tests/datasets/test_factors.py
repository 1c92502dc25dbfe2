"""Tables of factors: what a column is taken for, whose row is whose, and what is named when it is wrong."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from lpcm.datasets.celeba import NAMES, CelebA
from lpcm.datasets.factor_columns import Told, read_column
from lpcm.datasets.factor_table import FactorTable
from lpcm.errors import DataError, MissingError, UsageError
from lpcm.plugin.truth import FactorKind

CATEGORICAL, CONTINUOUS, ANGLE = FactorKind.CATEGORICAL, FactorKind.CONTINUOUS, FactorKind.ANGLE

# --- columns ---


def test_more_than_twenty_different_numbers_are_continuous():
    twenty = read_column("size", [str(k / 2) for k in range(20)])
    assert (twenty.kind, twenty.values[:3], twenty.words[:3]) == (
        CATEGORICAL,
        (0.0, 1.0, 2.0),
        ("0.0", "0.5", "1.0"),
    )
    more = read_column("size", [str(k / 2) for k in range(21)])
    assert (more.kind, more.values[:3], more.words) == (CONTINUOUS, (0.0, 0.5, 1.0), ())


def test_categories_are_in_order_numbers_by_value_and_words_by_the_alphabet():
    assert read_column("shape", ["10", "9", "10", "2.0", "2"]).values == (2, 1, 2, 0, 0)
    assert read_column("shape", ["10", "9", "10", "2.0", "2"]).words == ("2.0", "9", "10")
    assert read_column("shape", ["owl", "elk", "owl"]).values == (1, 0, 1)
    # one word among numbers makes all of them words
    assert read_column("shape", ["10", "9", "other"]).words == ("10", "9", "other")


@pytest.mark.parametrize(("unit", "quarter"), [("rad", math.pi / 2), ("deg", 90), ("turn", 0.25)])
def test_a_unit_makes_an_angle_in_radians_within_a_turn(unit, quarter):
    column = read_column(f"phi [{unit}]", [str(quarter * k) for k in (0, 1, 3, 4, -1)])
    assert (column.name, column.kind) == ("phi", ANGLE)
    # the turn is taken out in units of the file: a rounding of float64 at most
    np.testing.assert_allclose(column.values, np.array([0, 1, 3, 0, 3]) * math.pi / 2, atol=1e-12)


def test_who_knows_better_goes_before_the_rule():
    cells = ["0", "30", "60"]
    assert read_column("phi", cells, Told(CONTINUOUS)).values == (0.0, 30.0, 60.0)
    assert read_column("phi", cells, Told(ANGLE, 120)).values == (0.0, math.tau / 4, math.tau / 2)
    assert read_column("phi[deg]", cells, Told(CATEGORICAL)).values == (0, 1, 2)


@pytest.mark.parametrize(
    ("header", "cells", "told", "message"),
    [
        ("size", ["1", "", "2"], None, "size has no value in row 2 of 3"),
        ("size", ["1", "big"], Told(CONTINUOUS), "size is continuous and has the value 'big'"),
        ("size", ["1", "nan"], Told(CONTINUOUS), "size is continuous and has the value 'nan'"),
        ("phi[deg]", ["1", "inf"], None, "phi is angle and has the value 'inf'"),
        ("size[cm]", ["1", "2"], None, r"'size\[cm\]' has the unit 'cm': expected rad, deg, turn"),
        ("note", [f"n{k}" for k in range(21)], None, "'note' has another text in each row"),
    ],
)
def test_a_column_that_is_no_factor_is_named(header, cells, told, message):
    with pytest.raises(DataError, match=message):
        read_column(header, cells, told)


# --- factors:PATH ---


@pytest.fixture
def table(paint, tmp_path):
    """Pictures with a table: two shapes, a hue in degrees, a size of many values, a camera that stands still."""

    def make(count=24, header="file,shape,hue[deg],size,camera", line=None, name="factors.csv"):
        root = tmp_path / "scenes"
        line = line or (
            lambda k: f"img/{k}.png,{('cube', 'ball')[k % 2]},{15 * k},{k / 10},{('here', 'there')[k < 0]}"
        )
        for k in range(count):
            paint(root / "img" / f"{k}.png")
        (root / name).write_text("\n".join([header, *map(line, range(count))]) + "\n")
        return root

    return make


def test_a_table_gives_factors_labels_and_a_split(table, options):
    root = table()
    data = FactorTable(options(root))
    assert data.classes == ("ball", "cube")
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 12, "val": 4, "test": 8}
    for split in data.splits:
        factors = data.factors(split)
        assert factors.names == ("shape", "hue", "size")
        assert factors.kinds == (CATEGORICAL, ANGLE, CONTINUOUS)
        for sample, (shape, hue, size) in zip(data.samples(split), factors.values, strict=True):
            k = int(sample.id.removeprefix("img/").removesuffix(".png"))
            assert (sample.label, shape, size) == (1 - k % 2, 1 - k % 2, k / 10)
            assert hue == pytest.approx(math.radians(15 * k), abs=1e-12)  # rounding of float64
            assert sample.image.path == root / "img" / f"{k}.png"
    assert data.notes[:2] == (
        "without camera: one value in all pictures",
        "label: the factor shape (no column label)",
    )


def test_own_columns_are_split_label_and_caption(table, options):
    root = table(
        header="Split, file, size, label, caption",
        line=lambda k: f"{('train', 'valid', 'test')[k % 3]}, img/{k}.png, {k}, {k % 2}, picture {k}",
    )
    data = FactorTable(options(root))
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 8, "val": 8, "test": 8}
    assert data.classes == ("0", "1")
    assert data.factors("test").names == ("size",)
    assert data.samples("val")[1].captions == ("picture 4",)
    assert data.notes == ()


def test_settings_beside_the_table_say_more(table, options):
    root = table(header="file,shape,phi,step,junk", line=lambda k: f"img/{k}.png,{k % 3},{k},{k % 4},x{k}")
    (root / "factors.json").write_text(
        json.dumps(
            {
                "kinds": {"phi": {"kind": "angle", "turn": 24}, "step": "continuous"},
                "label": "shape",
                "ignore": ["junk"],
            }
        )
    )
    data = FactorTable(options(root))
    assert dict(zip(data.factors("train").names, data.factors("train").kinds, strict=True)) == {
        "shape": CATEGORICAL,
        "phi": ANGLE,
        "step": CONTINUOUS,
    }
    assert len(data.classes) == 3


def test_the_path_may_say_which_factor_labels(table, options):
    root = table(header="file,a,b", line=lambda k: f"img/{k}.png,{k % 2},{k % 3}")
    assert len(FactorTable(options(root)).classes) == 2
    assert len(FactorTable(options(f"{root}?label=b")).classes) == 3
    with pytest.raises(UsageError, match=r"label 'c': categorical factors are a, b"):
        FactorTable(options(f"{root}?label=c")).samples("train")


def test_without_categories_all_pictures_are_of_one_class(table, options):
    data = FactorTable(options(table(header="file,size", line=lambda k: f"img/{k}.png,{k}")))
    assert data.classes == ("picture",)
    assert "all pictures are of one class" in data.notes[0]


def test_a_folder_with_one_table_of_another_name_is_enough(table, options):
    root = table(name="latents.csv")
    assert FactorTable(options(root)).size == FactorTable(options(root / "latents.csv")).size == 24
    (root / "more.csv").write_text("file,a\n")
    with pytest.raises(DataError, match=r"has 2 tables, latents\.csv, more\.csv: which one is unclear"):
        FactorTable(options(root)).samples("train")


def test_a_relative_path_is_looked_for_under_the_data_root(table, options, tmp_path):
    table()
    assert FactorTable(options("scenes", root=tmp_path)).size == 24
    with pytest.raises(MissingError, match="does not exist"):
        FactorTable(options("scenes", root=tmp_path / "scenes")).samples("train")


def test_the_digest_moves_with_a_factor(table, options):
    root = table()
    before = FactorTable(options(root)).digest()
    text = (root / "factors.csv").read_text()
    (root / "factors.csv").write_text(text.replace("img/3.png,ball,45,0.3", "img/3.png,ball,45,0.31"))
    assert FactorTable(options(root)).digest() != before
    (root / "factors.csv").write_text(text)
    assert FactorTable(options(root)).digest() == before


def test_without_a_path_or_with_a_wrong_one_it_says_what_is_expected(options, tmp_path, plant):
    with pytest.raises(UsageError, match="needs a path"):
        FactorTable(options(""))
    with pytest.raises(MissingError, match=r"does not exist: expected a folder with factors\.csv"):
        FactorTable(options(tmp_path / "nowhere")).samples("train")
    with pytest.raises(MissingError, match=r"(?s)has no factors\.csv.*folder:"):
        FactorTable(options(plant("classes", {"owl": 2}))).samples("train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column file in ''"),
        ("path,shape\n", "line 1: no column file in 'path,shape'"),
        ("file;shape\n", "(?s)no column file .*by commas"),
        ("file,shape\n", "has no rows"),
        ("file,a,a[deg]\n1,2,3\n", r"column 'a' is there twice in 'file,a,a\[deg\]'"),
        ("file,,a\n1,2,3\n", "a column has no name"),
        ("file,shape\nimg/0.png,cube\nimg/1.png\n", "line 3: 1 fields, expected 2"),
        ('file,shape\n"img/0.png,cube\n', "line 2: "),
        (
            "file,shape\nimg/0.png,cube\nimg/99.png,ball\n",
            r"1 of 2 pictures found; missing: img/99\.png \(line 3\)",
        ),
        ("file,shape\nimg/0.png,cube\nimg/0.png,ball\n", r"'img/0\.png' is there twice"),
        ("file,shape\nimg/0.png,cube\nimg/1.png,cube\n", "no factor that varies"),
        ("file,shape,split\nimg/0.png,cube,train\nimg/1.png,ball,dev\n", "line 3: split 'dev'"),
        (
            "file,shape,split\nimg/0.png,cube,train\nimg/1.png,ball,\n",
            "line 3: split '': .*in every row, or in none",
        ),
    ],
)
def test_a_wrong_table_is_named_with_its_line(table, options, text, message):
    root = table(count=3)
    (root / "factors.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        FactorTable(options(root)).samples("train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected {"),
        ('{"kind": {}}', "expected {"),
        ('{"kinds": []}', "expected kinds to be an object"),
        (
            '{"ignore": ["hues"]}',
            "(?s)names 'hues': columns are shape, hue, size, camera.*did you mean 'hue'",
        ),
        ('{"kinds": {"size": "angel"}}', r"(?s)kinds\['size'\] is 'angel'.*did you mean 'angle'"),
        (
            '{"kinds": {"size": {"kind": "angle", "turn": 0}}}',
            "has turn 0: expected the number that is a full turn",
        ),
        ('{"kinds": {"size": {"kind": "angle", "period": 1}}}', "expected categorical, continuous, angle"),
    ],
)
def test_wrong_settings_are_named(table, options, text, message):
    root = table()
    (root / "factors.json").write_text(text)
    with pytest.raises(DataError, match=message):
        FactorTable(options(root)).samples("train")


# --- CelebA ---


@pytest.fixture
def celeba(paint, tmp_path):
    """Seven faces whose attributes are the bits of a number each: 4 train, 1 val, 2 test."""
    root = tmp_path / "celeba"
    signs = np.where(np.random.default_rng(5).random((7, 40)) < 0.5, -1, 1)
    lines = [f"{k + 1:06d}.jpg " + " ".join(f"{sign:2d}" for sign in row) for k, row in enumerate(signs)]
    for k in range(7):
        paint(root / "img_align_celeba" / f"{k + 1:06d}.jpg")
    (root / "list_attr_celeba.txt").write_text("\n".join(["7", " ".join(NAMES) + " ", *lines]) + "\n")
    (root / "list_eval_partition.txt").write_text(
        "".join(f"{k + 1:06d}.jpg {part}\n" for k, part in enumerate((0, 2, 0, 1, 0, 0, 2)))
    )
    return root, signs


def test_celeba_has_forty_factors_and_the_published_partition(celeba, options):
    _, signs = celeba
    data = CelebA(options())
    assert len(set(NAMES)) == 40
    assert {split: [s.id for s in data.samples(split)] for split in data.splits} == {
        "train": ["000001.jpg", "000003.jpg", "000005.jpg", "000006.jpg"],
        "val": ["000004.jpg"],
        "test": ["000002.jpg", "000007.jpg"],
    }
    factors = data.factors("test")
    assert factors.names == NAMES
    assert set(factors.kinds) == {CATEGORICAL}
    np.testing.assert_array_equal(factors.values, (signs[[1, 6]] + 1) / 2)
    assert data.classes == ("not smiling", "smiling")
    assert [s.label for s in data.samples("train")] == [
        int(signs[k, NAMES.index("Smiling")] > 0) for k in (0, 2, 4, 5)
    ]


def test_another_attribute_may_label(celeba, options):
    _, signs = celeba
    data = CelebA(options("Wearing_Hat"))
    assert data.classes == ("not wearing hat", "wearing hat")
    assert [s.label for s in data.samples("test")] == [
        int(signs[k, NAMES.index("Wearing_Hat")] > 0) for k in (1, 6)
    ]
    with pytest.raises(UsageError, match=r"(?s)has no attribute 'Smilling'.*did you mean 'Smiling'"):
        CelebA(options("Smilling"))


def test_a_celeba_that_is_not_there_or_not_whole_is_named(celeba, options, tmp_path):
    root, _ = celeba
    with pytest.raises(MissingError, match=r"(?s)celeba is not on disk.*img_align_celeba"):
        CelebA(options(root=tmp_path / "elsewhere")).samples("test")
    (root / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(DataError, match=r"6 of the 7 images .*missing files: 000003\.jpg"):
        CelebA(options()).samples("test")
    (root / "list_eval_partition.txt").unlink()
    with pytest.raises(DataError, match=r"lacks list_eval_partition\.txt"):
        CelebA(options()).samples("test")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("list_attr_celeba.txt", lambda t: t.replace("Smiling", "Frowning"), "then the names of 40 attributes"),
        ("list_attr_celeba.txt", lambda t: t[: t.rindex("000007")], "lists 6 images, where its first line says 7"),
        ("list_attr_celeba.txt", lambda t: t.replace("000004.jpg  1", "000004.jpg  0").replace(
            "000004.jpg -1", "000004.jpg  0"), "line 6: 5_o_Clock_Shadow is 0: expected -1 or 1"),
        ("list_attr_celeba.txt", lambda t: t.rstrip()[:-3] + "\n", "expected -1 or 1 for each attribute"),
        ("list_eval_partition.txt", lambda t: t.replace("5.jpg 0", "5.jpg 3"), "line 5: '000005.jpg 3'"),
        ("list_eval_partition.txt", lambda t: t.replace("000005.jpg 0\n", ""), r"1 images .*: 000005\.jpg"),
    ],
)  # fmt: skip
def test_a_wrong_list_of_celeba_is_named(celeba, options, file, change, message):
    root, _ = celeba
    (root / file).write_text(change((root / file).read_text()))
    with pytest.raises(DataError, match=message):
        CelebA(options()).samples("test")
