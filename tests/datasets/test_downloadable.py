"""Each dataset of the data root, on a small tree laid out as the real one; downloads are stood in for."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from urllib.error import URLError

import numpy as np
import pytest

from lpcm.datasets import caltech101, cifar100
from lpcm.datasets.caltech101 import Caltech101
from lpcm.datasets.cifar100 import Cifar100
from lpcm.datasets.oxford_pets import OxfordPets
from lpcm.errors import DataError, MissingError

CALTECH = "101_ObjectCategories"
# Python 3.12 and 3.13 announce that tar archives will be filtered, which torchvision leaves to the default.
pytestmark = pytest.mark.filterwarnings("ignore:.*filter extracted tar.*:DeprecationWarning")


@pytest.fixture
def small(monkeypatch):
    """Expect small trees instead of the full ones."""
    monkeypatch.setattr(Caltech101, "expected_folders", ("Faces", "airplanes", "sea_horse"))
    monkeypatch.setattr(Caltech101, "expected_images", 15)
    monkeypatch.setattr(Cifar100, "expected_images", {"train": 200, "test": 100})


@pytest.fixture
def caltech(plant):
    """Caltech 101 as it is unpacked, in a folder of the given name."""

    def make(name="caltech-101"):
        classes = ("Faces", "Faces_easy", "airplanes", "sea_horse", "BACKGROUND_Google")
        return plant(name, {f"{CALTECH}/{c}": 5 for c in classes})

    return make


def coop_rows(classes, numbers):
    return [
        [f"{folder}/image_{n:04d}.png", label, said]
        for n in numbers
        for label, (folder, said) in enumerate(classes)
    ]


COOP = [("Faces", "face"), ("airplanes", "airplane"), ("sea_horse", "sea_horse")]


def write_coop(path, classes=COOP):
    content = {
        "train": coop_rows(classes, (4, 0)),
        "val": coop_rows(classes, (1,)),
        "test": coop_rows(classes, (2, 3)),
    }
    path.write_text(json.dumps(content))
    return content


# --- Caltech 101 ---


@pytest.mark.parametrize("name", ["caltech-101", "caltech101"])
def test_caltech_takes_the_coop_split_beside_its_images(options, caltech, name):
    root = caltech(name)
    content = write_coop(root / caltech101.SPLIT_FILE)
    data = Caltech101(options())
    assert data.classes == ("face", "airplane", "sea horse")
    assert {split: [s.id for s in data.samples(split)] for split in data.splits} == {
        split: [row[0] for row in rows] for split, rows in content.items()
    }
    assert [s.label for s in data.samples("val")] == [0, 1, 2]
    assert data.samples("test")[0].image.open().size == (5, 3)
    assert data.notes == ("CoOp split (split_zhou_Caltech101.json)",)
    assert data.licence == "CC BY 4.0"


def test_caltech_without_the_split_file_is_split_by_key_and_says_so(options, caltech, small):
    caltech()
    data = Caltech101(options())
    assert data.classes == ("face", "airplane", "sea horse")
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 6, "val": 3, "test": 6}
    assert "not comparable" in data.notes[0]
    assert "split_zhou_Caltech101.json" in data.notes[0]
    assert "made by key" in data.notes[1]


def test_the_full_caltech_has_a_hundred_folders_without_those_left_out():
    assert len(set(caltech101.FOLDERS)) == 100
    assert not set(caltech101.LEFT_OUT) & set(caltech101.FOLDERS)
    assert set(caltech101.RENAMED) < set(caltech101.FOLDERS)


def test_a_half_unpacked_caltech_says_what_is_missing(options, caltech, small):
    root = caltech()
    shutil.rmtree(root / CALTECH / "airplanes")
    with pytest.raises(DataError, match=r"10 of 15 images in 2 of 3 class folders .*missing: airplanes"):
        Caltech101(options()).samples("train")
    write_coop(root / caltech101.SPLIT_FILE)
    with pytest.raises(DataError, match=r"10 of the 15 images .*missing folders: airplanes/"):
        Caltech101(options()).samples("train")


def test_single_missing_images_are_named(options, caltech, small):
    root = caltech()
    (root / CALTECH / "Faces" / "image_0002.png").unlink()
    with pytest.raises(DataError, match="14 of 15 images in 3 of 3 class folders"):
        Caltech101(options()).samples("train")
    write_coop(root / caltech101.SPLIT_FILE)
    with pytest.raises(DataError, match=r"14 of the 15 images .*missing files: Faces/image_0002\.png"):
        Caltech101(options()).samples("train")


def test_a_caltech_folder_without_images_shows_the_layout(options, plant):
    root = plant("caltech101", {"caltech-101": 0})
    with pytest.raises(
        DataError,
        match=r"(?s)lacks 101_ObjectCategories; it holds caltech-101. Expected:\n.*└── caltech-101/",
    ):
        Caltech101(options(offline=False)).samples("train")
    assert root.is_dir()  # what is there is never overwritten


def test_the_second_folder_is_used_when_the_first_is_not_whole(options, caltech, plant, small):
    plant("caltech-101", {"empty": 0})
    caltech("caltech101")
    assert Caltech101(options()).size == 15


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"train": [["Faces/a', "is not JSON"),
        ("[]", "expected {"),
        ('{"train": [], "val": []}', "expected {"),
        ('{"train": [["Faces/image_0000.png", "0", "face"]], "val": [], "test": []}', r"train\[0\] is \["),
        ('{"train": [["Faces/image_0000.png", true, "face"]], "val": [], "test": []}', r"train\[0\] is \["),
        ('{"train": [["../secret.png", 0, "face"]], "val": [], "test": []}', "leads out of"),
        ('{"train": [["/etc/secret.png", 0, "face"]], "val": [], "test": []}', "leads out of"),
        (
            '{"train": [["Faces/image_0000.png", 0, "face"]], "val": [["a.png", 0, "nose"]], "test": []}',
            "'nose' here",
        ),
        (
            '{"train": [["Faces/image_0000.png", 0, "face"], ["a.png", 2, "nose"]], "val": [], "test": []}',
            "0 to c - 1",
        ),
        ('{"train": [], "val": [], "test": []}', "0 to c - 1"),
    ],
)
def test_a_coop_file_that_is_wrong_is_named_with_its_row(options, caltech, text, message):
    (caltech() / caltech101.SPLIT_FILE).write_text(text)
    with pytest.raises(DataError, match=message):
        Caltech101(options()).samples("train")


def test_an_image_in_two_splits_is_refused(options, caltech):
    path = caltech() / caltech101.SPLIT_FILE
    content = write_coop(path)
    content["test"].append(content["train"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"'Faces/image_0004\.png' is there in train and test"):
        Caltech101(options()).samples("train")


# --- Oxford pets ---

PETS = ("Abyssinian", "american_bulldog", "yorkshire_terrier")


@pytest.fixture
def pets(paint, tmp_path):
    def make(name="oxford_pets"):
        root = tmp_path / name
        lines = {"trainval": [], "test": []}
        for label, breed in enumerate(PETS, start=1):
            for number in range(1, 6):
                paint(root / "images" / f"{breed}_{number}.jpg")
                lines["test" if number > 3 else "trainval"].append(f"{breed}_{number} {label} 1 {label}")
        (root / "annotations").mkdir()
        for split, rows in lines.items():
            (root / "annotations" / f"{split}.txt").write_text("\n".join(rows) + "\n")
        return root

    return make


def write_pets_coop(root):
    rows = [
        [f"{breed}_{n}.jpg", label, breed.lower()] for n in range(1, 6) for label, breed in enumerate(PETS)
    ]
    (root / "split_zhou_OxfordPets.json").write_text(
        json.dumps({"train": rows[:6], "val": rows[6:9], "test": rows[9:]})
    )


@pytest.mark.parametrize("name", ["oxford_pets", "oxford-iiit-pet"])
def test_pets_take_the_coop_split(options, pets, name):
    write_pets_coop(pets(name))
    data = OxfordPets(options())
    assert data.classes == ("abyssinian", "american bulldog", "yorkshire terrier")
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 6, "val": 3, "test": 6}
    assert data.templates == ("a photo of a {}, a type of pet.",)
    assert data.samples("train")[0].image.open().size == (5, 3)


def test_pets_without_the_split_file_take_the_official_lists(options, pets):
    root = pets()
    data = OxfordPets(options())
    assert data.classes == ("abyssinian", "american bulldog", "yorkshire terrier")
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 9, "test": 6}
    assert "not comparable" in data.notes[0]
    assert "validation is taken from it" in data.notes[1]
    (root / "images" / "Abyssinian_4.jpg").unlink()
    with pytest.raises(
        DataError, match=r"5 of the 6 images that test\.txt lists .*missing files: Abyssinian_4\.jpg"
    ):
        OxfordPets(options()).samples("train")


def test_pets_without_any_list_say_what_is_missing(options, pets):
    root = pets()
    (root / "annotations" / "test.txt").unlink()
    with pytest.raises(DataError, match=r"neither .*split_zhou_OxfordPets\.json nor .*test\.txt is there"):
        OxfordPets(options()).samples("train")


@pytest.mark.parametrize("line", ["Abyssinian_1 1 1", "Abyssinian_1 one 1 1", "Abyssinian 1 1 1"])
def test_a_wrong_line_of_a_pets_list_is_named(options, pets, line):
    root = pets()
    (root / "annotations" / "trainval.txt").write_text(f"{line}\n")
    with pytest.raises(DataError, match=r"trainval\.txt, line 1: "):
        OxfordPets(options()).samples("train")


# --- CIFAR-100 ---


@pytest.fixture
def cifar(tmp_path):
    def make(root=tmp_path, sizes=(200, 100)):
        folder = root / "cifar-100-binary"
        folder.mkdir(parents=True)
        (folder / "fine_label_names.txt").write_text("\n".join(f"class_{n}" for n in range(100)) + "\n\n")
        generator = np.random.default_rng(0)
        for split, count in zip(("train", "test"), sizes, strict=True):
            records = generator.integers(0, 256, (count, cifar100.RECORD), dtype=np.uint8)
            records[:, 0] = 7  # the coarse label, which is not read
            records[:, 1] = np.arange(count) % 100
            (folder / f"{split}.bin").write_bytes(records.tobytes())
        return folder

    return make


def test_cifar_records_are_read_in_place(options, cifar, small):
    folder = cifar()
    data = Cifar100(options())
    assert data.classes[:2] == ("class 0", "class 1")
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 200, "test": 100}
    sample = data.samples("train")[123]
    assert (sample.id, sample.label) == ("train/00123", 23)
    raw = (folder / "train.bin").read_bytes()[123 * 3074 + 2 : 124 * 3074]
    pixels = np.asarray(sample.image.open())
    assert pixels.shape == (32, 32, 3)
    assert pixels[5, 9].tolist() == [raw[5 * 32 + 9], raw[1024 + 5 * 32 + 9], raw[2048 + 5 * 32 + 9]]


def test_the_cifar_digest_moves_with_one_byte_of_a_pixel(options, cifar, small):
    folder = cifar()
    before = Cifar100(options()).digest()
    data = bytearray((folder / "test.bin").read_bytes())
    data[-1] ^= 1
    (folder / "test.bin").write_bytes(bytes(data))
    assert Cifar100(options()).digest() != before


def test_a_cut_cifar_file_says_how_much_is_there(options, cifar, small):
    folder = cifar()
    (folder / "train.bin").write_bytes((folder / "train.bin").read_bytes()[: 3074 * 150 + 5])
    with pytest.raises(DataError, match=r"train\.bin has 150 of 200 records and 5 bytes of one more"):
        Cifar100(options()).samples("train")


def test_the_whole_cifar_is_expected(options, cifar):
    cifar()
    with pytest.raises(DataError, match="has 200 of 50,000 records"):
        Cifar100(options()).samples("train")


def test_a_cifar_label_out_of_range_is_named(options, cifar, small):
    folder = cifar()
    data = bytearray((folder / "train.bin").read_bytes())
    data[3 * 3074 + 1] = 100
    (folder / "train.bin").write_bytes(bytes(data))
    with pytest.raises(DataError, match="record 3 has fine label 100"):
        Cifar100(options()).samples("train")


def test_pickled_cifar_is_not_read_and_the_message_says_so(options, tmp_path):
    (tmp_path / "cifar-100-python").mkdir()
    with pytest.raises(MissingError, match=r"cifar-100-python is there, but its files are pickles"):
        Cifar100(options()).samples("train")


# --- not there, and downloads ---


@pytest.mark.parametrize("kind", [Caltech101, OxfordPets, Cifar100])
def test_what_is_not_on_disk_is_drawn_with_the_flags_that_help(options, kind, tmp_path):
    with pytest.raises(MissingError) as caught:
        kind(options()).samples("train")
    text = str(caught.value)
    assert caught.value.exit_code == 3
    for part in (
        *kind.folders,
        *kind.parts,
        "├── ",
        "└── ",
        "--allow-download",
        "--data-root DIR",
        str(tmp_path),
    ):
        assert part in text
    assert list(tmp_path.iterdir()) == []


def tar_of(folder, archive):
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    return hashlib.md5(archive.read_bytes()).hexdigest()


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Stand in for the network: an address is answered with the file of the same name in a folder."""
    from torchvision.datasets import utils

    shelf = tmp_path / "served"
    shelf.mkdir()

    def retrieve(url, filename, chunk_size=0):
        source = shelf / url.rpartition("/")[2]
        if not source.exists():
            raise URLError("no route to host")
        shutil.copyfile(source, filename)

    monkeypatch.setattr(utils, "_urlretrieve", retrieve)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, max_hops=3: url)
    return shelf


def test_cifar_is_downloaded_whole_or_not_at_all(options, cifar, small, served, tmp_path, monkeypatch):
    root = tmp_path / "data"
    archive = served / "cifar-100-binary.tar.gz"
    md5 = tar_of(cifar(tmp_path / "made"), archive)
    with pytest.raises(DataError, match="not the official archive"):
        Cifar100(options(root=root, offline=False)).samples("train")
    assert list(root.iterdir()) == []  # nothing half done stays
    monkeypatch.setattr(cifar100, "MD5", md5)
    assert Cifar100(options(root=root, offline=False)).size == 300
    assert [path.name for path in root.iterdir()] == ["cifar-100-binary"]
    archive.unlink()  # a second time nothing is fetched
    assert Cifar100(options(root=root, offline=False)).size == 300


def test_pets_are_downloaded_through_torchvision(options, pets, served, tmp_path, monkeypatch):
    from torchvision.datasets import OxfordIIITPet

    made, root = pets("made"), tmp_path / "data"
    names = ("images", "annotations")
    sums = [tar_of(made / name, served / f"{name}.tar.gz") for name in names]
    addresses = [f"https://localhost/{name}.tar.gz" for name in names]
    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", tuple(zip(addresses, sums, strict=True)))
    assert OxfordPets(options(root=root, offline=False)).size == 15
    assert sorted(path.name for path in (root / "oxford-iiit-pet").iterdir()) == ["annotations", "images"]


def test_caltech_is_downloaded_through_torchvision(options, caltech, small, tmp_path, monkeypatch):
    from torchvision.datasets import caltech as official

    made, root = caltech("made"), tmp_path / "data"

    def unpack(url, download_root, filename, md5):
        inner = tmp_path / CALTECH
        shutil.copytree(made / CALTECH, inner)
        place = os.path.join(download_root, "caltech-101")
        os.makedirs(place)
        with tarfile.open(os.path.join(place, f"{CALTECH}.tar.gz"), "w:gz") as tar:
            tar.add(inner, CALTECH)
        open(os.path.join(download_root, filename), "wb").close()

    monkeypatch.setattr(official, "download_and_extract_archive", unpack)
    assert Caltech101(options(root=root, offline=False)).size == 15
    assert [path.name for path in root.iterdir()] == ["caltech101"]


def test_a_download_without_a_network_says_so_and_leaves_nothing(options, served, tmp_path):
    root = tmp_path / "data"
    with pytest.raises(
        MissingError, match=r"could not be downloaded \(.*no route to host.*Expected:"
    ) as caught:
        Cifar100(options(root=root, offline=False)).samples("train")
    assert "--data-root" in caught.value.hint
    assert list(root.iterdir()) == []


def test_a_full_disk_is_not_taken_for_a_missing_network(options, tmp_path, monkeypatch):
    def full(self, into):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Cifar100, "_fetch", full)
    with pytest.raises(MissingError, match=r"could not be kept under .*No space left on device"):
        Cifar100(options(root=tmp_path / "data", offline=False)).samples("train")


def test_a_data_root_that_cannot_be_made_is_named(options, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MissingError, match=r"file/data cannot be written"):
        Cifar100(options(root=tmp_path / "file" / "data", offline=False)).samples("train")


def test_of_two_downloads_at_once_the_first_copy_stays(options, cifar, small, tmp_path, monkeypatch):
    root = tmp_path / "data"
    slow = cifar(tmp_path / "slow")

    def fetch(self, into):
        cifar(root)  # another process is done meanwhile
        shutil.copytree(slow, into / "cifar-100-binary")
        return "cifar-100-binary"

    monkeypatch.setattr(Cifar100, "_fetch", fetch)
    assert Cifar100(options(root=root, offline=False)).size == 300
    assert [path.name for path in root.iterdir()] == ["cifar-100-binary"]


def test_offline_never_fetches(options, tmp_path, monkeypatch):
    def fetch(self, into):
        raise AssertionError("a connection was asked for")

    for kind in (Caltech101, OxfordPets, Cifar100):
        monkeypatch.setattr(kind, "_fetch", fetch)
        with pytest.raises(MissingError, match="is not on disk"):
            kind(options(offline=True)).samples("train")
