"""COCO and Flickr30k on small trees laid out as the real ones: whose caption is whose, in which split."""

from __future__ import annotations

import json

import pytest

from lpcm.datasets.captions import Coco, Flickr30k
from lpcm.errors import DataError, MissingError, UsageError

KARPATHY = "dataset_coco.json"


def entry(name, split, captions=5, folder="val2014"):
    return {
        "filepath": folder,
        "filename": name,
        "split": split,
        "cocoid": 7,
        "sentences": [{"raw": f" {name} said {k}. \n", "tokens": ["said"]} for k in range(captions)],
    }


@pytest.fixture
def coco(paint, tmp_path):
    """COCO 2014 with Karpathy's file; returns the root and what the file holds."""
    root = tmp_path / "coco"
    images = [
        entry("b.jpg", "test"),
        entry("a.jpg", "test", captions=7),
        entry("c.jpg", "val"),
        entry("d.jpg", "restval"),
        entry("e.jpg", "train", folder="train2014"),
    ]
    for image in images:
        paint(root / image["filepath"] / image["filename"])
    content = {"dataset": "coco", "images": images}
    (root / KARPATHY).write_text(json.dumps(content))
    return root, content


@pytest.fixture
def coco_2017(paint, tmp_path):
    """COCO 2017, as its own lists have it; ids are not the order of the images."""

    def make(**counts):
        root = tmp_path / "coco"
        for folder, count in counts.items():
            images = [{"id": 100 - k, "file_name": f"{folder}_{k}.png", "license": 1} for k in range(count)]
            for image in images:
                paint(root / folder / image["file_name"])
            notes = [
                {"id": n, "image_id": image["id"], "caption": f"{image['file_name']} said {n}"}
                for n in range(5)
                for image in reversed(images)
            ]
            (root / "annotations").mkdir(exist_ok=True)
            (root / "annotations" / f"captions_{folder}.json").write_text(
                json.dumps({"info": {}, "images": images, "annotations": notes})
            )
        return root

    return make


@pytest.fixture
def flickr(paint, tmp_path):
    """Flickr30k with its list of captions, as its makers hand it out."""
    root = tmp_path / "flickr30k"
    names = [f"{number}.jpg" for number in range(1000, 1010)]
    for name in names:
        paint(root / "flickr30k-images" / name)
    (root / "results_20130124.token").write_text(
        "".join(f"{name}#{k}\t{name} , said {k} .\n" for name in names for k in range(5))
    )
    return root


# --- Karpathy's splits ---


def test_karpathy_splits_are_used_and_restval_is_trained_on(coco, options):
    data = Coco(options())
    assert {split: [s.id for s in data.samples(split)] for split in data.splits} == {
        "train": ["val2014/d.jpg", "train2014/e.jpg"],
        "val": ["val2014/c.jpg"],
        "test": ["val2014/b.jpg", "val2014/a.jpg"],
    }
    assert data.notes[0] == f"Karpathy split ({KARPATHY})"
    assert data.samples("test")[0].image.open().size == (5, 3)


def test_each_image_has_its_first_five_captions_clean(coco, options):
    data = Coco(options())
    for split in data.splits:
        for sample in data.samples(split):
            name = sample.id.split("/")[1]
            assert sample.captions == tuple(f"{name} said {k}." for k in range(5))
    assert data.notes[1] == "1 images have more than 5 captions: the first 5 are used"


@pytest.mark.parametrize("place", ["annotations", "karpathy", "caption_datasets"])
def test_karpathys_file_is_found_where_people_put_it(coco, options, place):
    root, _ = coco
    (root / place).mkdir()
    (root / KARPATHY).rename(root / place / KARPATHY)
    assert Coco(options()).size == 5


def test_images_may_lie_one_folder_deeper(coco, options):
    root, _ = coco
    (root / "images").mkdir()
    for folder in ("val2014", "train2014"):
        (root / folder).rename(root / "images" / folder)
    assert Coco(options()).size == 5


def test_flickr_has_karpathy_splits_too(flickr, options):
    images = [
        {k: v for k, v in entry(f"{n}.jpg", "train" if n % 2 else "test").items() if k != "filepath"}
        for n in range(1000, 1006)
    ]
    (flickr / "dataset_flickr30k.json").write_text(json.dumps({"images": images}))
    data = Flickr30k(options())
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 3, "test": 3}
    assert data.samples("test")[1].id == "1002.jpg"
    assert data.samples("test")[1].captions[4] == "1002.jpg said 4."


def test_one_split_needs_only_its_own_images(coco, options):
    root, _ = coco
    (root / "train2014" / "e.jpg").unlink()
    with pytest.raises(DataError, match=r"4 of the 5 images .*missing files: train2014/e\.jpg"):
        Coco(options()).samples("test")
    data = Coco(options("test+val"))
    assert data.splits == ("val", "test")
    assert data.name == "coco:test+val"
    assert data.size == 3


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("tset", "(?s)split 'tset': expected some of train, val, test.*did you mean 'test'"),
        ("test+test", "split 'test': expected some of"),
        ("test,val", "split 'test,val'"),
        ("+", "split '': expected"),
    ],
)
def test_another_split_is_refused_at_once(options, argument, message):
    with pytest.raises(UsageError, match=message):
        Coco(options(argument))


def test_an_asked_split_that_is_empty_is_refused(flickr, options):
    (flickr / "dataset_flickr30k.json").write_text(json.dumps({"images": [entry("1000.jpg", "train")]}))
    with pytest.raises(DataError, match="has no image of test, which flickr30k:test asks for"):
        Flickr30k(options("test")).samples("test")


# --- the makers' own lists ---


def test_coco_2017_without_train_is_split_by_key(coco_2017, options):
    coco_2017(val2017=10)
    data = Coco(options())
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 5, "val": 2, "test": 3}
    assert "not comparable" in data.notes[0]
    assert data.notes[1] == "split made by key: about 50 % train, 20 % val, 30 % test (no split was given)"
    for split in data.splits:
        for sample in data.samples(split):
            name = sample.id.removeprefix("val2017/")
            assert sample.captions == tuple(f"{name} said {n}" for n in range(5))


def test_coco_2017_with_train_is_tested_on_val(coco_2017, options):
    coco_2017(train2017=4, val2017=3)
    data = Coco(options())
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 4, "test": 3}
    assert "val2017 is test" in data.notes[1]


def test_flickr_without_karpathys_file_is_split_by_key(flickr, options):
    data = Flickr30k(options())
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 5, "val": 2, "test": 3}
    sample = data.samples("val")[0]
    assert sample.captions[3] == f"{sample.id} , said 3 ."
    assert sample.image.path == flickr / "flickr30k-images" / sample.id
    assert "not comparable" in data.notes[0]


# --- what is wrong is named ---


@pytest.mark.parametrize("kind", [Coco, Flickr30k])
def test_a_set_that_is_not_there_says_its_layout(kind, options):
    with pytest.raises(MissingError, match=f"(?s){kind.known_as} is not on disk.*{kind.karpathy}"):
        kind(options()).samples("test")


@pytest.mark.parametrize("kind", [Coco, Flickr30k])
def test_a_folder_without_any_list_says_which_are_expected(kind, options, tmp_path):
    (tmp_path / kind.folders[0]).mkdir()
    with pytest.raises(DataError, match=f"(?s)has neither {kind.karpathy} nor .*Expected:"):
        kind(options()).samples("test")


def test_coco_2017_without_its_images_is_named(coco_2017, options):
    root = coco_2017(val2017=3)
    (root / "val2017").rename(root / "val17")
    with pytest.raises(DataError, match=r"nor captions_val2017\.json with the images of val2017"):
        Coco(options()).samples("test")


def broken(content, **changes):
    image = {**content["images"][0], **changes}
    return json.dumps({"images": [image, *content["images"][1:]]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lambda c: json.dumps(c)[:99], "is not JSON"),
        (lambda c: "[]", "has no list 'images'"),
        (lambda c: '{"images": []}', "has no list 'images'"),
        (lambda c: broken(c, filename=3), r"images\[0\] is .*expected filename, split and sentences"),
        (
            lambda c: broken(c, split="dev"),
            r"images\[0\] has split 'dev': expected train, restval, val, test",
        ),
        (lambda c: broken(c, sentences=[]), r"images\[0\] has no caption"),
        (lambda c: broken(c, sentences=[{"raw": "  "}]), r"images\[0\] has no caption"),
        (lambda c: broken(c, sentences=[{"tokens": []}]), r"images\[0\] has a caption that is no text"),
        (lambda c: broken(c, filename="../x.jpg"), "leads out of the folder of images"),
        (lambda c: broken(c, filename="a.jpg"), r"'val2014/a\.jpg' is there twice in test"),
        (lambda c: broken(c, filename="z.jpg"), r"missing files: val2014/z\.jpg"),
    ],
)
def test_a_wrong_entry_of_karpathys_file_is_named(coco, options, text, message):
    root, content = coco
    (root / KARPATHY).write_text(text(content))
    with pytest.raises(DataError, match=message):
        Coco(options()).samples("test")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1000.jpg#5 a man", "line 51: .*expected IMAGE.jpg#0, a tab and a caption"),
        ("1000.jpg\ta man", "line 51: .*expected"),
        ("1000.jpg#x\ta man", "line 51: .*expected"),
        ("1999.jpg#0\ta man", r"missing files: 1999\.jpg"),
        ("1998.jpg#0\t ", r"1998\.jpg has no caption"),
        ("/etc/1.jpg#0\ta man", "leads out of"),
    ],
)
def test_a_wrong_line_of_flickrs_list_is_named(flickr, options, line, message):
    file = flickr / "results_20130124.token"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(DataError, match=message):
        Flickr30k(options()).samples("test")


def test_a_caption_of_no_coco_image_and_an_image_without_caption(coco_2017, options):
    root = coco_2017(val2017=3)
    file = root / "annotations" / "captions_val2017.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "annotations": content["annotations"][:2]}))
    with pytest.raises(DataError, match=r"images\[0\] has no caption"):
        Coco(options()).samples("test")
    file.write_text(json.dumps({**content, "annotations": [{"caption": "lost"}]}))
    with pytest.raises(DataError, match="expected image_id and caption"):
        Coco(options()).samples("test")


def test_the_digest_moves_with_a_caption(coco, options):
    root, content = coco
    before = Coco(options()).digest()
    content["images"][0]["sentences"][0]["raw"] = "another"
    (root / KARPATHY).write_text(json.dumps(content))
    assert Coco(options()).digest() != before
