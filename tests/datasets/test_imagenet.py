"""ImageNet and its relatives, on trees with one image a class laid out as the real ones."""

from __future__ import annotations

import hashlib
import io
import runpy
import shutil
import subprocess
import sys
import tarfile

import pytest
from PIL import Image

from lpcm.datasets import imagenet_names
from lpcm.datasets.imagenet import (
    KAGGLE_LABELS,
    ImageNet,
    ImageNetA,
    ImageNetR,
    ImageNetV2,
)
from lpcm.datasets.imagenet_names import Subset, class_names, subset_wnids, wnids
from lpcm.datasets.imagenet_shift import SHIFTED, ImageNetShift
from lpcm.datasets.records import RECORDS
from lpcm.errors import DataError, MissingError, UsageError
from lpcm.testing.dataset import CHECKS
from lpcm.testing.report import Outcome
from lpcm.testing.subject import Subject, run_checks

# Python 3.12 and 3.13 announce that tar archives will be filtered, which torchvision leaves to the default.
pytestmark = pytest.mark.filterwarnings("ignore:.*filter extracted tar.*:DeprecationWarning")

FAMILY = (ImageNet, *SHIFTED)
named = {"ids": lambda kind: kind.known_as}


@pytest.fixture(scope="module")
def pixels():
    """Two images of different pixels, as bytes."""
    found = []
    for colour in ("red", "blue"):
        buffer = io.BytesIO()
        Image.new("RGB", (5, 3), colour).save(buffer, "JPEG")
        found.append(buffer.getvalue())
    return found


@pytest.fixture
def fill(pixels):
    """Put ``count`` images into each of some class folders."""

    def make(root, folders, count=1, suffix="JPEG"):
        for folder in folders:
            (root / folder).mkdir(parents=True)
            for number in range(count):
                (root / folder / f"{folder}_{number}.{suffix}").write_bytes(pixels[number % 2])
        return root

    return make


FEW = tuple(wnids()[label] for label in (0, 1, 6, 281, 388, 657, 744, 836, 837, 954, 998, 999))
FEW_OF = {Subset.R: FEW[1:6], Subset.A: FEW[2:9:2]}


@pytest.fixture
def few(monkeypatch):
    """Twelve classes instead of a thousand, five of them in R and four in A: folders take long to make."""
    for module in ("imagenet", "imagenet_shift"):
        monkeypatch.setattr(f"lpcm.datasets.{module}.class_names", lambda: few_names())
    monkeypatch.setattr("lpcm.datasets.imagenet.wnids", lambda: FEW)
    monkeypatch.setattr("lpcm.datasets.imagenet.subset_wnids", FEW_OF.__getitem__)


def few_names():
    return tuple(class_names()[wnids().index(wnid)] for wnid in FEW)


def folders_of(kind):
    """Class folders of a set with few classes."""
    if kind is ImageNetV2:
        return tuple(map(str, range(len(FEW))))
    return FEW_OF[kind.subset] if hasattr(kind, "subset") else FEW


@pytest.fixture
def lay(tmp_path, few, fill, monkeypatch):
    """Lay out a set with few classes, and expect no more images than that."""

    def make(kind, name=None, root=tmp_path, count=1):
        folder = root / (name or kind.folders[0])
        expected = {"test": len(folders_of(kind))}
        if kind is ImageNet:
            fill(folder / "train", FEW, count)
            fill(folder / "val", FEW)
            expected["train"] = count * len(FEW)
        else:
            fill(folder, folders_of(kind), suffix="jpg")
            (folder / "README.txt").write_text("as it is unpacked")
        monkeypatch.setattr(kind, "expected_images", expected)
        return folder

    return make


# --- the classes ---


def test_ids_are_sorted_and_stand_at_their_known_places():
    assert list(wnids()) == sorted(set(wnids()))
    assert len(wnids()) == 1000
    known = {"n01440764": 0, "n02123045": 281, "n02510455": 388, "n07753592": 954, "n15075141": 999}
    assert {wnid: wnids().index(wnid) for wnid in known} == known


def test_names_stand_beside_the_ids_that_they_name():
    # WordNet's own words for these ids, from timm; the first and last class, and some between.
    words = imagenet_names._first_words()
    for label in (0, 1, 99, 281, 388, 504, 817, 954, 999):
        said, entry = class_names()[label].lower(), words[wnids()[label]].lower()
        assert set(said.split()) & set(entry.split()), (label, said, entry)


def test_every_class_has_a_name_of_its_own():
    assert len(set(class_names())) == 1000
    told_apart = {label: class_names()[label] for label in (657, 744, 836, 837)}
    assert told_apart == {657: "missile", 744: "projectile", 836: "sunglass", 837: "sunglasses"}


def test_names_other_than_the_doubled_ones_are_those_of_open_clip():
    file = imagenet_names._file("open_clip", "open_clip", "zero_shot_metadata.py")
    theirs = runpy.run_path(str(file))["IMAGENET_CLASSNAMES"]
    differ = [label for label, (a, b) in enumerate(zip(class_names(), theirs, strict=True)) if a != b]
    assert differ == [744, 836]


@pytest.mark.parametrize("subset", list(Subset))
def test_a_subset_holds_two_hundred_of_the_classes_in_their_order(subset):
    found = subset_wnids(subset)
    assert len(found) == 200
    assert set(found) < set(wnids())
    assert list(found) == sorted(found)


def test_the_two_subsets_are_those_of_timms_index_files():
    for subset in Subset:
        file = imagenet_names._file("timm", "timm", f"data/_info/{subset.value}_indices.txt")
        places = [int(line) for line in file.read_text().split()]
        assert [wnids().index(wnid) for wnid in subset_wnids(subset)] == places


def test_neither_torch_nor_timm_is_imported_to_know_the_classes():
    code = (
        "import sys; from lpcm.datasets.imagenet_names import class_names, wnids; class_names(), wnids();"
        "print({'torch', 'timm', 'open_clip', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no such file"), ("n02\nn01\n", "2 ids, or not in order"), ("n01\n" * 1000, "1000 ids")],
)
def test_a_package_whose_list_has_changed_is_named(text, message, tmp_path, monkeypatch):
    place = tmp_path / "timm" / "data" / "_info"
    place.mkdir(parents=True)
    (tmp_path / "timm" / "__init__.py").touch()
    if text:
        (place / "imagenet_synsets.txt").write_text(text)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingError, match=rf"imagenet_synsets\.txt does not hold .*{message}"):
        imagenet_names._synsets("imagenet", 1000)


@pytest.mark.parametrize("text", ["NAMES = ()\n", "IMAGENET_CLASSNAMES = ('tench',)\n"])
def test_an_open_clip_without_the_names_is_named(text, tmp_path, monkeypatch):
    (tmp_path / "open_clip").mkdir()
    (tmp_path / "open_clip" / "__init__.py").touch()
    (tmp_path / "open_clip" / "zero_shot_metadata.py").write_text(text)
    monkeypatch.delitem(sys.modules, "open_clip", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingError, match=r"zero_shot_metadata\.py does not hold .*\((no IMAGENET|1 names)"):
        class_names.__wrapped__()


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(MissingError, match="nobody>=1 is not installed") as caught:
        imagenet_names._file("lpcm_nobody", "nobody>=1", "file")
    assert caught.value.hint == "pip install 'nobody>=1'"


# --- each set ---


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in FAMILY for name in kind.folders])
def test_labels_are_places_among_all_classes_in_every_layout(kind, name, lay, options):
    lay(kind, name)
    data = kind(options())
    assert data.classes == few_names()
    samples = data.samples("test")
    assert [sample.id.split("/")[-2] for sample in samples] == list(folders_of(kind))
    for sample, folder in zip(samples, folders_of(kind), strict=True):
        assert sample.label == (int(folder) if kind is ImageNetV2 else FEW.index(folder))
        assert sample.image.open().size == (5, 3)
    assert data.templates == ("a photo of a {}.",)


def test_with_all_classes_labels_are_places_among_the_thousand(fill, options, tmp_path, monkeypatch):
    fill(tmp_path / "imagenet-a", subset_wnids(Subset.A), suffix="jpg")
    monkeypatch.setattr(ImageNetA, "expected_images", {"test": 200})
    data = ImageNetA(options())
    assert len(data.classes) == 1000
    file = imagenet_names._file("timm", "timm", "data/_info/imagenet_a_indices.txt")
    assert [sample.label for sample in data.samples("test")] == [int(n) for n in file.read_text().split()]
    assert data.chance == 1 / 200
    assert data.notes == ("imagenet-a holds images of 200 of the 1,000 classes",)


def test_imagenet_tests_on_the_official_validation_images(lay, options):
    lay(ImageNet)
    data = ImageNet(options())
    assert data.splits == ("train", "test")
    assert data.samples("train")[1].id == "train/n01443537/n01443537_0.JPEG"
    assert data.samples("test")[11].id == "val/n15075141/n15075141_0.JPEG"
    assert data.samples("test")[11].label == 11
    assert data.domains == ()
    assert not hasattr(data, "domain_classes")
    assert data.notes == ("the official validation images are the test split",)


def test_a_number_keeps_so_many_training_images_a_class_and_more_contain_fewer(lay, options):
    folder = lay(ImageNet, count=9)
    kept = {}
    for argument in ("2", "5", ""):
        data = ImageNet(options(argument))
        kept[argument] = [s.id for s in data.samples("train")]
        assert len(data.samples("test")) == len(FEW)
    assert [len(ids) for ids in kept.values()] == [2 * len(FEW), 5 * len(FEW), 9 * len(FEW)]
    assert set(kept["2"]) < set(kept["5"]) < set(kept[""])
    # Which are kept differs from class to class: the key's choice, not the first ones.
    assert len({tuple(name[-6] for name in kept["2"][2 * n : 2 * n + 2]) for n in range(len(FEW))}) > 3
    cut = ImageNet(options("5"))
    assert (cut.name, ImageNet(options()).name) == ("imagenet:5", "imagenet")
    assert cut.notes[0] == "at most 5 training images a class, chosen by key"
    assert cut.digest() != data.digest()
    # Cut or not, a copy must be whole.
    (folder / "train" / FEW[1] / f"{FEW[1]}_2.JPEG").unlink()
    with pytest.raises(DataError, match="train holds 107 of 108 images"):
        ImageNet(options("1")).samples("train")


def test_with_no_training_images_asked_for_none_need_be_there(lay, options):
    for kind in (ImageNet, ImageNetR):
        lay(kind)
    shutil.rmtree(options().root / ImageNet.folders[0] / "train")
    with pytest.raises(DataError, match="lacks train") as caught:
        ImageNet(options()).samples("test")
    assert "imagenet:0" in caught.value.hint
    data = ImageNet(options("0"))
    assert (data.name, data.splits, data.size) == ("imagenet:0", ("test",), len(FEW))
    shift = ImageNetShift(options("0"))
    assert (shift.splits, shift.domains) == (("test",), ("imagenet", "imagenet-r"))


@pytest.mark.parametrize("argument", ["-1", "all", "1.5", "²"])
def test_what_is_not_a_number_of_images_is_refused(argument, options):
    for kind in (ImageNet, ImageNetShift):
        with pytest.raises(
            UsageError, match=rf"imagenet:{argument}: expected the number .*\nType for example"
        ):
            kind(options(argument))


def flatten(folder, table=None):
    """Validation images as the archives hold them, and Kaggle's table of their classes."""
    rows = ["ImageId,PredictionString"]
    val = folder / "val"
    for path in sorted(val.glob("*/*")):
        rows.append(f"{path.stem},{path.parent.name} 1 2 3 4 {path.parent.name} 5 6 7 8 ")
        path.rename(val / path.name)
        path.parent.rmdir()
    if table:
        table.write_text("\n".join(rows) + "\n")


def test_kaggles_table_places_validation_images_that_lie_in_one_folder(lay, options, tmp_path):
    folder = lay(ImageNet, "ILSVRC/Data/CLS-LOC")
    sorted_in_folders = ImageNet(options())
    before, digest = sorted_in_folders.samples("test"), sorted_in_folders.digest()
    flatten(folder, tmp_path / KAGGLE_LABELS)
    data = ImageNet(options())
    after = data.samples("test")
    assert [(s.id, s.label) for s in after] == [(s.id, s.label) for s in before]
    assert after[7].image.path.parent.name == "val"
    assert after[7].image.open().size == (5, 3)
    assert data.digest() == digest  # the same data


def test_validation_images_in_one_folder_without_a_table_are_explained(lay, options):
    folder = lay(ImageNet)
    flatten(folder)
    with pytest.raises(
        DataError, match=r"val holds 12 images and no class folders, and no LOC_val"
    ) as caught:
        ImageNet(options()).samples("train")
    assert "torchvision.datasets.ImageNet" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n01440764 1", "n00000000 1", "line 2: "),
        ("n01440764_0,", "another,", "does not name 1 images of .*n01440764_0"),
    ],
)
def test_a_table_that_does_not_fit_is_named(old, new, message, lay, options):
    folder = lay(ImageNet)
    table = folder / KAGGLE_LABELS
    flatten(folder, table)
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=rf"LOC_val_solution\.csv.*{message}"):
        ImageNet(options()).samples("train")


@pytest.mark.parametrize("kind", [ImageNetR, ImageNetA], **named)
def test_a_subset_says_which_classes_can_be_and_guesses_among_them(kind, lay, options):
    lay(kind)
    data = kind(options())
    assert data.domains == (kind.known_as,)
    assert {s.domain for s in data.samples("test")} == {kind.known_as}
    expected = tuple(FEW.index(wnid) for wnid in FEW_OF[kind.subset])
    assert data.domain_classes == {kind.known_as: expected}
    assert data.chance == 1 / len(expected)
    assert data.notes == (f"{kind.known_as} holds images of {len(expected)} of the 12 classes",)


# --- copies that are not whole ---


@pytest.mark.parametrize("kind", FAMILY, **named)
def test_class_folders_that_are_missing_or_foreign_are_named(kind, lay, options):
    folder = lay(kind)
    where = folder / "train" if kind is ImageNet else folder
    gone, count = folders_of(kind)[3], len(folders_of(kind))
    (where / gone).rename(where / "another")
    with pytest.raises(
        DataError,
        match=rf"{count - 1} of the {count} class folders; missing: {gone}; not expected: another",
    ) as caught:
        kind(options()).samples("test")
    assert f"folder:{where}" in caught.value.hint
    assert "Expected:" in str(caught.value)


@pytest.mark.parametrize("kind", FAMILY, **named)
def test_an_image_that_is_missing_is_counted(kind, lay, options):
    folder = lay(kind)
    where = folder / "val" if kind is ImageNet else folder
    next(where.glob("*/*")).unlink()
    count = len(folders_of(kind))
    with pytest.raises(DataError, match=rf"holds {count - 1} of {count} images"):
        kind(options()).samples("test")


@pytest.mark.parametrize("kind", FAMILY, **named)
def test_the_whole_set_is_expected(kind, lay, options, monkeypatch):
    whole = kind.expected_images
    lay(kind)
    monkeypatch.setattr(kind, "expected_images", whole)
    (record,) = (r for r in RECORDS if r.name == kind.known_as)
    assert sum(whole.values()) == record.images
    first = next(iter(whole.values()))
    with pytest.raises(DataError, match=rf"holds {len(folders_of(kind))} of {first:,} images"):
        kind(options()).samples("test")


@pytest.mark.parametrize("kind", FAMILY, **named)
def test_what_is_not_on_disk_is_drawn_with_what_helps(kind, options, tmp_path):
    with pytest.raises(MissingError) as caught:
        kind(options()).samples("test")
    text = str(caught.value)
    for part in (*kind.folders, *kind.parts, "── ", "--data-root DIR", kind.terms, getattr(kind, "home", "")):
        assert part in text
    assert ("--allow-download" in text) == (kind in (ImageNetR, ImageNetA))
    assert list(tmp_path.iterdir()) == []


def test_half_of_imagenet_is_named(lay, options):
    folder = lay(ImageNet, "imagenet")
    shutil.rmtree(folder / "val")
    with pytest.raises(
        DataError, match=r"(?s)is there, but lacks val; it holds train\. Expected:.*n01440764"
    ):
        ImageNet(options()).samples("train")


@pytest.mark.parametrize("kind", [ImageNetR, ImageNetA], **named)
def test_a_subset_is_downloaded_whole(kind, lay, options, tmp_path, monkeypatch):
    from torchvision.datasets import utils

    made = lay(kind, kind.folders[-1], root=tmp_path / "made")
    archive = tmp_path / "archive.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(made, made.name)
    monkeypatch.setattr(utils, "_urlretrieve", lambda url, filename, **_: shutil.copyfile(archive, filename))
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, max_hops=3: url)
    root = tmp_path / "data"
    with pytest.raises(DataError, match="not the official archive"):
        kind(options(root=root, offline=False)).samples("test")
    monkeypatch.setattr(kind, "md5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert kind(options(root=root, offline=False)).size == len(folders_of(kind))
    assert [path.name for path in root.iterdir()] == [made.name]


# --- all of them: imagenet-shift ---


def test_a_shift_study_trains_on_imagenet_and_tests_on_every_set(lay, options):
    for kind in FAMILY:
        lay(kind)
    data = ImageNetShift(options())
    assert data.domains == ("imagenet", "imagenet-v2", "imagenet-sketch", "imagenet-r", "imagenet-a")
    assert {s.domain for s in data.samples("train")} == {"imagenet"}
    by_domain = {name: [s for s in data.samples("test") if s.domain == name] for name in data.domains}
    assert [len(samples) for samples in by_domain.values()] == [12, 12, 12, 5, 4]
    assert {name: samples[0].id for name, samples in by_domain.items()} == {
        "imagenet": "imagenet/val/n01440764/n01440764_0.JPEG",
        "imagenet-v2": "imagenet-v2/0/0_0.jpg",
        "imagenet-sketch": "imagenet-sketch/n01440764/n01440764_0.jpg",
        "imagenet-r": "imagenet-r/n01443537/n01443537_0.jpg",
        "imagenet-a": f"imagenet-a/{FEW[2]}/{FEW[2]}_0.jpg",
    }
    assert set(data.domain_classes) == {"imagenet-r", "imagenet-a"}
    for name, labels in data.domain_classes.items():
        assert list(labels) == sorted({s.label for s in by_domain[name]})
    assert data.classes == few_names()
    assert not [note for note in data.notes if "left out" in note]
    assert ImageNetShift(options("1")).name == "imagenet-shift:1"


def test_sets_that_are_not_on_disk_are_left_out_and_named(lay, options):
    for kind in (ImageNet, ImageNetA):
        lay(kind, count=2)
    data = ImageNetShift(options("1"))
    assert len(data.samples("train")) == len(FEW)
    assert data.domains == ("imagenet", "imagenet-a")
    assert set(data.domain_classes) == {"imagenet-a"}
    assert [note for note in data.notes if "left out" in note] == [
        f"{name} is not on disk: left out" for name in ("imagenet-v2", "imagenet-sketch", "imagenet-r")
    ]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ((), "on disk is none"),
        ((ImageNet,), "is only imagenet"),
        ((ImageNetA, ImageNetR), "is only imagenet-r"),
    ],
)
def test_imagenet_and_one_other_are_needed(there, said, lay, options):
    for kind in there:
        lay(kind)
    with pytest.raises(MissingError, match=rf"needs imagenet and one of imagenet-v2.*{said}") as caught:
        ImageNetShift(options()).samples("train")
    for kind in set(FAMILY) - set(there):
        assert f"{kind.known_as} is not on disk" in caught.value.message
        assert f"{kind.known_as}: " in caught.value.hint


def test_a_set_that_is_there_in_part_is_an_error_not_left_out(lay, options):
    for kind in (ImageNet, ImageNetR, ImageNetV2):
        lay(kind)
    shutil.rmtree(options().root / ImageNetV2.folders[0] / "11")
    with pytest.raises(DataError, match=r"imagenet-v2: .*missing: 11"):
        ImageNetShift(options()).samples("train")


def test_a_missing_package_is_not_taken_for_missing_images(lay, options, monkeypatch):
    for kind in (ImageNet, ImageNetR):
        lay(kind)

    def gone():
        raise MissingError("timm>=1.0 is not installed")

    for module in ("imagenet", "imagenet_shift"):
        monkeypatch.setattr(f"lpcm.datasets.{module}.class_names", gone)
    with pytest.raises(MissingError, match=r"timm>=1\.0 is not installed"):
        ImageNetShift(options()).samples("train")


@pytest.mark.parametrize("name", ["imagenet", "imagenet-v2", "imagenet-r", "imagenet-shift"])
def test_every_promise_of_a_dataset_is_kept(name, lay, tmp_path):
    from importlib import import_module

    for kind in FAMILY:
        lay(kind)
    (record,) = (record for record in RECORDS if record.name == name)
    module, _, attribute = record.loader.partition(":")
    subject = Subject(
        record, lambda: getattr(import_module(module), attribute), "", importable=True, data_root=tmp_path
    )
    checks = run_checks(CHECKS, subject)
    wrong = {check.name: check.detail for check in checks if check.outcome is Outcome.FAILED}
    # The tree is smaller than the set that the record speaks of; what that counts is tested above.
    assert wrong.pop("record_tells_the_truth") == "the record says 1000 classes, the dataset has 12"
    assert not wrong
