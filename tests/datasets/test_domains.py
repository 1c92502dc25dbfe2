"""Each domain set on a small tree laid out as DomainBed does; what differs from the whole set is named."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from lpcm.datasets.domains import DomainNet, DomainSet, OfficeHome, Pacs, TerraIncognita, Vlcs
from lpcm.datasets.folder import FolderDataset
from lpcm.errors import DataError, MissingError

SETS = (Pacs, Vlcs, OfficeHome, TerraIncognita, DomainNet)
PER_CLASS = 5


@pytest.fixture
def lay(plant, monkeypatch):
    """A whole but small set: five images a class and domain; DomainNet has three classes."""

    def make(kind: type[DomainSet], name: str = ""):
        classes = kind.class_folders or ("aircraft_carrier", "axe", "zebra")
        each = PER_CLASS * len(classes)
        counted = {domain: each if count else 0 for domain, count in kind.domain_folders.items()}
        monkeypatch.setattr(kind, "domain_folders", counted)
        monkeypatch.setattr(kind, "class_count", len(classes))
        monkeypatch.setattr(kind, "whole", each * len(counted))
        return plant(
            name or kind.folders[0], {f"{domain}/{c}": PER_CLASS for domain in counted for c in classes}
        )

    return make


def write_lists(place, kind, parts):
    """Published lists: numbers of images of each class in each split, labels from 1."""
    place.mkdir(exist_ok=True)
    for split, numbers in parts.items():
        for domain in kind.domain_folders:
            lines = [
                f"{domain}/{name}/image_{number:04d}.png {label}"
                for label, name in enumerate(kind.class_folders or ("aircraft_carrier", "axe", "zebra"), 1)
                for number in numbers
            ]
            (place / kind.lists[split].format(domain)).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", SETS, ids=lambda kind: kind.known_as)
def test_every_image_has_its_class_and_domain(kind, lay, options):
    root = lay(kind)
    data = kind(options())
    samples = [sample for split in data.splits for sample in data.samples(split)]
    assert len(samples) == len(list(root.rglob("*.png"))) == data.size
    folders = sorted(kind.class_folders or ("aircraft_carrier", "axe", "zebra"))
    for sample in samples:
        domain, name, file = sample.id.split("/")
        assert sample.domain == domain.replace("_", " ")
        assert folders[sample.label] == name
        assert sample.image.path == root / domain / name / file
    assert len(data.domains) == len(kind.domain_folders)
    assert len(data.classes) == len(set(data.classes)) == len(folders)
    assert samples[0].image.open().size == (5, 3)


@pytest.mark.parametrize("kind", SETS, ids=lambda kind: kind.known_as)
def test_without_published_lists_each_class_of_each_domain_is_split_by_key(kind, lay, options):
    lay(kind)
    data = kind(options())
    # 30 % and 20 % of five, to the next whole image
    for split, share in {"train": 2, "val": 1, "test": 2}.items():
        counts = Counter((s.domain, s.label) for s in data.samples(split))
        assert set(counts.values()) == {share}
        assert len(counts) == len(data.domains) * len(data.classes)
    assert data.notes == (
        "split made by key: about 50 % train, 20 % val, 30 % test of each class (no split was given)",
    )


def test_a_set_and_its_folder_are_split_alike(lay, options):
    root = lay(Pacs)
    named, folder = Pacs(options()), FolderDataset(options(root))
    assert [s.id for s in named.samples("test")] == [s.id for s in folder.samples("test")]
    assert named.domains == folder.domains


def test_the_class_names_are_words():
    said = OfficeHome.said
    assert len(said) == 65
    assert (said["Alarm_Clock"], said["TV"], said["ToothBrush"]) == ("alarm clock", "TV", "toothbrush")
    assert not any("_" in name for name in said.values())


@pytest.mark.parametrize("kind", [Pacs, Vlcs, OfficeHome], ids=lambda kind: kind.known_as)
def test_the_domains_of_a_whole_copy_add_up(kind):
    assert sum(kind.domain_folders.values()) == kind.whole
    assert len(kind.class_folders) == kind.class_count


# --- published lists ---


@pytest.mark.parametrize("place", [".", "splits"])
def test_the_published_lists_of_pacs_are_used(lay, options, place):
    root = lay(Pacs)
    write_lists(root / place, Pacs, {"train": (3, 0, 1, 2), "test": (4,)})
    data = Pacs(options())
    assert data.splits == ("train", "test")
    assert {s.id.rpartition("_")[2] for s in data.samples("test")} == {"0004.png"}
    assert len(data.samples("train")) == 4 * 7 * 4
    assert [s.id for s in data.samples("train")[:2]] == [
        "art_painting/dog/image_0003.png",
        "art_painting/dog/image_0000.png",
    ]
    assert data.notes[0].startswith("published lists (train: art_painting_train_kfold.txt ...")
    assert len(data.notes) == 1


def test_lists_are_found_where_dassl_puts_them(lay, options):
    root = lay(Pacs, "pacs")
    (root / "images").mkdir()
    for domain in Pacs.domain_folders:
        shutil.move(root / domain, root / "images" / domain)
    write_lists(root / "splits", Pacs, {"train": (0, 1), "test": (2, 3, 4)})
    assert len(Pacs(options()).samples("test")) == 3 * 7 * 4


def test_domainnet_has_published_lists_too(lay, options):
    root = lay(DomainNet)
    write_lists(root, DomainNet, {"train": (0, 1), "test": (2,)})
    data = DomainNet(options())
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 36, "test": 18}
    assert data.notes[1] == "36 images are in no published list and were left out"


def test_half_of_the_published_lists_are_not_enough(lay, options):
    root = lay(Pacs)
    write_lists(root, Pacs, {"train": (0, 1), "test": (2, 3, 4)})
    (root / "photo_train_kfold.txt").unlink()
    with pytest.raises(DataError, match=r"(?s)some of the published lists, but lacks photo_train_kfold.txt"):
        Pacs(options()).samples("train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("photo/dog/image_0000.png", "line 36: .*: expected DOMAIN/CLASS/image and a number"),
        ("photo/dog/image_0000.png one", "line 36: .*: expected DOMAIN/CLASS/image and a number"),
        ("photo/dog/image_0009.png 1", r"missing files: photo/dog/image_0009\.png"),
        ("photo_train_kfold.txt 1", "lists photo_train_kfold.txt: expected DOMAIN/CLASS/image"),
        ("photo/dog/image_0000.png 2", "has label 2, and dog had 1 before"),
        ("photo/dog/image_0001.png 1", "'photo/dog/image_0001.png' is there twice in train"),
        ("photo/dog/image_0002.png 1", "'photo/dog/image_0002.png' is there in train and test"),
    ],
)
def test_a_wrong_line_of_a_list_is_named(lay, options, line, message):
    root = lay(Pacs)
    write_lists(root, Pacs, {"train": (0, 1, 3, 4), "test": (2,)})
    file = root / "photo_train_kfold.txt"
    # The last class makes room, so that the number of the line does not depend on the case.
    kept = [k for k in file.read_text().splitlines() if not k.startswith("photo/person/")]
    file.write_text("\n".join(kept + [""] * (35 - len(kept)) + [line]))
    with pytest.raises(DataError, match=message):
        Pacs(options()).samples("train")


# --- copies that are not whole ---


@pytest.mark.parametrize("kind", SETS, ids=lambda kind: kind.known_as)
def test_a_set_that_is_not_there_says_its_layout_and_its_home(kind, options):
    with pytest.raises(MissingError) as caught:
        kind(options()).samples("train")
    assert f"└── {kind.folders[0]}/" in caught.value.message
    assert kind.parts[0] in caught.value.message
    assert kind.home in caught.value.hint


@pytest.mark.parametrize("kind", SETS, ids=lambda kind: kind.known_as)
def test_a_missing_domain_is_named(kind, lay, options):
    root = lay(kind)
    shutil.rmtree(root / kind.parts[1])
    with pytest.raises(DataError, match=f"lacks {kind.parts[1]}"):
        kind(options()).samples("train")


def test_missing_and_foreign_class_folders_are_named(lay, options):
    root = lay(Pacs)
    (root / "photo" / "dog").rename(root / "photo" / "hound")
    with pytest.raises(DataError, match=r"photo has other class folders.*missing: dog; not expected: hound"):
        Pacs(options()).samples("train")


def test_missing_images_are_counted_and_the_way_round_is_told(lay, options):
    root = lay(Vlcs)
    (root / "SUN09" / "dog" / "image_0003.png").unlink()
    with pytest.raises(DataError, match=r"24 of 25 images in .*SUN09") as caught:
        Vlcs(options()).samples("train")
    assert f"'folder:{root}?layout=domains'" in caught.value.hint
    assert FolderDataset(options(f"{root}?layout=domains")).size == 99


def test_a_location_without_a_class_is_noted_not_refused(lay, options):
    root = lay(TerraIncognita)
    shutil.rmtree(root / "location_43" / "dog")
    shutil.rmtree(root / "location_43" / "empty")
    data = TerraIncognita(options())
    assert data.size == 190
    assert data.notes[1:] == (
        "location 43 has no image of 2 classes: dog, empty",
        "190 images, where DomainBed counts 200: copies of this set differ",
    )
    assert not hasattr(data, "domain_classes")  # DomainBed's predictions range over all classes


def test_a_domain_without_images_is_refused(lay, options):
    root = lay(TerraIncognita)
    for image in (root / "location_38").rglob("*.png"):
        image.unlink()
    with pytest.raises(DataError, match=r"no image in .*location_38"):
        TerraIncognita(options()).samples("train")


def test_another_number_of_classes_is_refused(lay, options, paint):
    root = lay(DomainNet)
    paint(root / "real" / "yak" / "1.png")
    with pytest.raises(DataError, match=r"4 classes in .*domain_net: expected 3 folders in each domain"):
        DomainNet(options()).samples("train")
