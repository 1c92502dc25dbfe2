"""The sets of CoOp's benchmark and CIFAR-10, each on a small tree laid out as the real one."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from lpcm.datasets import cifar10
from lpcm.datasets.cifar10 import Cifar10
from lpcm.datasets.coop_objects import FgvcAircraft, Flowers102, Food101, StanfordCars
from lpcm.datasets.coop_scenes import DescribableTextures, EuroSat, Sun397, Ucf101
from lpcm.datasets.records import RECORDS
from lpcm.errors import DataError, MissingError
from lpcm.testing.dataset import CHECKS
from lpcm.testing.report import Outcome
from lpcm.testing.subject import Subject, run_checks

# Python 3.12 and 3.13 announce that tar archives will be filtered, which torchvision leaves to the default.
pytestmark = pytest.mark.filterwarnings("ignore:.*filter extracted tar.*:DeprecationWarning")


class Tree:
    """One dataset as it is unpacked, without CoOp's file, and what is expected of it."""

    def __init__(self, kind, root, paint, name):
        self.kind, self.folder, self.paint = kind, root / name, paint
        self.images = self.folder / getattr(kind, "images", "images")

    def picture(self, path):
        self.paint(self.images / path)
        return path

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def mat(self, name, **content):
        from scipy.io import savemat

        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, content)

    def coop(self, **splits):
        text = json.dumps({split: splits.get(split, []) for split in ("train", "val", "test")})
        self.write(self.kind.split_file, text)


def cars(tree):
    for split, numbers in (("train", (1, 2, 3)), ("test", (1, 2))):
        marks = np.zeros(len(numbers), [("class", "O"), ("fname", "O")])
        for row, number in enumerate(numbers):
            tree.picture(f"cars_{split}/{number:05d}.jpg")
            marks[row] = (number, f"{number:05d}.jpg")
        name = "devkit/cars_train_annos.mat" if split == "train" else "cars_test_annos_withlabels.mat"
        tree.mat(name, annotations=marks)
    names = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van 2012"], object)
    tree.mat("devkit/cars_meta.mat", class_names=names)


def flowers(tree):
    for number in range(1, 7):
        tree.picture(f"image_{number:05d}.jpg")
    tree.mat("imagelabels.mat", labels=np.array([[77, 77, 1, 102, 1, 77]]))
    tree.mat("setid.mat", trnid=np.array([[1, 3]]), valid=np.array([[4]]), tstid=np.array([[6, 5, 2]]))


def food(tree):
    paths = [f"{name}/{n}" for name in ("apple_pie", "waffles") for n in (10, 11, 12)]
    for path in paths:
        tree.picture(f"{path}.jpg")
    tree.write("meta/train.json", json.dumps({"waffles": paths[3:5], "apple_pie": paths[:2]}))
    tree.write("meta/test.json", json.dumps({"apple_pie": paths[2:3], "waffles": paths[5:]}))


def aircraft(tree):
    names = ("737-400", "C-130", "F/A-18")
    tree.write("variants.txt", "".join(f"{name}\n" for name in names))
    for number, split in enumerate(("train", "val", "test")):
        lines = [f"00{number}{label} {name}" for label, name in enumerate(names)]
        for line in lines:
            tree.picture(f"{line.partition(' ')[0]}.jpg")
        tree.write(f"images_variant_{split}.txt", "\n".join(reversed(lines)) + "\n")


SCENES = ("/a/abbey", "/a/apse/indoor", "/b/boat_deck")


def scenes(tree, *, lists=True):
    for scene in SCENES:
        for n in range(4):
            tree.picture(f"{scene[1:]}/sun_{n}.jpg")
    naming = "\n".join(SCENES) + "\n"
    tree.write("SUN397/ClassName.txt", naming)
    if lists:
        tree.write("ClassName.txt", naming)
        tree.write("Training_01.txt", "".join(f"{scene}/sun_{n}.jpg\n" for scene in SCENES for n in (2, 0)))
        tree.write("Testing_01.txt", "".join(f"{scene}/sun_{n}.jpg\n" for scene in SCENES for n in (1, 3)))


def textures(tree):
    names = ("banded", "polka-dotted")
    for n, split in enumerate(("train", "val", "test")):
        lines = [tree.picture(f"{name}/{name}_000{n}.jpg") for name in names]
        tree.write(f"labels/{split}1.txt", "\n".join(lines) + "\n")


def satellite(tree):
    for name in EuroSat.said:
        for n in range(1, 6):
            tree.picture(f"{name}/{name}_{n}.jpg")


def actions(tree):
    names = ("ApplyEyeMakeup", "HandstandPushups", "YoYo")
    folders = ("Apply_Eye_Makeup", "Handstand_Pushups", "Yo_Yo")
    for name, folder in zip(names, folders, strict=True):
        for n in range(3):
            tree.picture(f"{folder}/v_{name}_g0{n}_c01.jpg")
    at = "ucfTrainTestlist"
    tree.write(f"{at}/classInd.txt", "".join(f"{n} {name}\r\n" for n, name in enumerate(names, 1)))
    rows = [(f"{name}/v_{name}_g0{n}_c01.avi", label) for n in (1, 2) for label, name in enumerate(names, 1)]
    tree.write(f"{at}/trainlist01.txt", "".join(f"{path} {label}\n" for path, label in rows))
    tree.write(f"{at}/testlist01.txt", "".join(f"{name}/v_{name}_g00_c01.avi\n" for name in names))


LAYOUTS = {
    StanfordCars: (cars, "cars_train/00001.jpg"),
    Flowers102: (flowers, "image_00001.jpg"),
    Food101: (food, "apple_pie/10.jpg"),
    FgvcAircraft: (aircraft, "0000.jpg"),
    Sun397: (scenes, "a/abbey/sun_2.jpg"),
    DescribableTextures: (textures, "banded/banded_0000.jpg"),
    EuroSat: (satellite, "River/River_1.jpg"),
    Ucf101: (actions, "Apply_Eye_Makeup/v_ApplyEyeMakeup_g01_c01.jpg"),
}
COOP = [kind for kind in LAYOUTS if kind is not FgvcAircraft]
named = {"ids": lambda kind: kind.known_as}


@pytest.fixture
def lay(tmp_path, paint, monkeypatch):
    """Lay out a dataset under ``root``, and expect no more images than that."""

    def make(kind, name=None, root=tmp_path, **settings):
        tree = Tree(kind, root, paint, name or kind.folders[0])
        LAYOUTS[kind][0](tree, **settings)
        if hasattr(kind, "expected_images"):
            monkeypatch.setattr(kind, "expected_images", sum(1 for _ in tree.images.rglob("*.jpg")))
        return tree

    return make


def listed(data):
    return {split: [(s.id, s.label) for s in data.samples(split)] for split in data.splits}


# --- with CoOp's file ---


@pytest.mark.parametrize("kind", COOP, **named)
def test_the_coop_split_is_taken_as_it_stands(kind, lay, options):
    tree = lay(kind)
    there = sorted(p.relative_to(tree.images).as_posix() for p in tree.images.rglob("*.jpg"))[:5]
    rows = [[path, n % 2, ("red_thing", "blue thing")[n % 2]] for n, path in enumerate(there)]
    tree.coop(train=rows[2:], val=rows[1:2], test=rows[:1])
    data = kind(options())
    assert listed(data) == {
        "train": [(path, label) for path, label, _ in rows[2:]],
        "val": [(rows[1][0], 1)],
        "test": [(rows[0][0], 0)],
    }
    assert data.classes == ("red thing", "blue thing")
    assert data.notes == (f"CoOp split ({kind.split_file})",)
    assert data.samples("test")[0].image.open().size == (5, 3)


@pytest.mark.parametrize("kind", COOP, **named)
def test_an_image_that_coop_lists_and_is_not_there_is_named(kind, lay, options):
    tree = lay(kind)
    tree.coop(train=[[LAYOUTS[kind][1], 0, "red"], ["gone/away.jpg", 1, "blue"]])
    with pytest.raises(DataError, match=r"1 of the 2 images .*missing folders: gone/"):
        kind(options()).samples("train")


def test_each_set_has_the_prompt_that_coop_gives_it(options):
    said = {kind.known_as: kind(options()).templates for kind in LAYOUTS}
    assert said == {
        "stanford-cars": ("a photo of a {}.",),
        "flowers102": ("a photo of a {}, a type of flower.",),
        "food101": ("a photo of {}, a type of food.",),
        "fgvc-aircraft": ("a photo of a {}, a type of aircraft.",),
        "sun397": ("a photo of a {}.",),
        "dtd": ("{} texture.",),
        "eurosat": ("a centered satellite photo of {}.",),
        "ucf101": ("a photo of a person doing {}.",),
    }


# --- without it ---


@pytest.mark.parametrize("kind", COOP, **named)
def test_without_the_coop_split_the_notes_say_that_results_do_not_compare(kind, lay, options):
    tree = lay(kind)
    note = kind(options()).notes[0]
    assert str(tree.folder / kind.split_file) in note
    assert "not comparable" in note


def test_cars_take_the_devkit_and_say_the_year_first(lay, options):
    lay(StanfordCars)
    data = StanfordCars(options())
    assert data.classes == ("2000 AM General Hummer SUV", "2012 Acura RL Sedan", "2012 Ram C/V Cargo Van")
    assert listed(data) == {
        "train": [("cars_train/00001.jpg", 0), ("cars_train/00002.jpg", 1), ("cars_train/00003.jpg", 2)],
        "test": [("cars_test/00001.jpg", 0), ("cars_test/00002.jpg", 1)],
    }


def test_the_label_free_test_marks_of_cars_are_told_from_those_with_labels(lay, options):
    tree = lay(StanfordCars)
    marks = np.zeros(2, [("bbox_x1", "O"), ("fname", "O")])
    marks["fname"] = ["00001.jpg", "00002.jpg"]
    marks["bbox_x1"] = 1
    tree.mat("cars_test_annos_withlabels.mat", annotations=marks)
    with pytest.raises(DataError, match=r"expected class and fname\n.*withlabels\.mat has them"):
        StanfordCars(options()).samples("train")


@pytest.mark.parametrize("name", ["oxford_flowers", "flowers-102"])
def test_flowers_take_the_official_lists_with_numbers_from_one(name, lay, options):
    tree = lay(Flowers102, name)
    data = Flowers102(options())
    assert len(set(data.classes)) == 102
    assert (data.classes[0], data.classes[76], data.classes[101]) == (
        "pink primrose",
        "passion flower",
        "blackberry lily",
    )
    assert listed(data) == {
        "train": [("image_00001.jpg", 76), ("image_00003.jpg", 0)],
        "val": [("image_00004.jpg", 101)],
        "test": [("image_00006.jpg", 76), ("image_00005.jpg", 0), ("image_00002.jpg", 76)],
    }
    names = {str(n): f"flower {n}" for n in range(1, 103)}
    tree.write("cat_to_name.json", json.dumps(names))
    assert Flowers102(options()).classes == tuple(names.values())
    del names["7"]
    tree.write("cat_to_name.json", json.dumps(names))
    with pytest.raises(DataError, match=r"cat_to_name\.json: expected .* with 102 names"):
        Flowers102(options()).samples("train")


def test_a_flower_list_that_points_past_the_labels_is_named(lay, options):
    tree = lay(Flowers102)
    tree.mat("setid.mat", trnid=np.array([[1, 7]]), valid=np.array([[4]]), tstid=np.array([[6]]))
    with pytest.raises(DataError, match=r"setid\.mat: image 7: imagelabels\.mat has 1 to 6"):
        Flowers102(options()).samples("train")
    tree.mat("setid.mat", trnid=np.array([[1, 2]]), valid=np.array([[4]]))
    with pytest.raises(DataError, match=r"setid\.mat has no tstid"):
        Flowers102(options()).samples("train")


def test_a_flower_label_out_of_range_is_named(lay, options):
    tree = lay(Flowers102)
    tree.mat("imagelabels.mat", labels=np.array([[77, 77, 103, 102, 1, 77]]))
    with pytest.raises(DataError, match=r"image_00003\.jpg has label 103: expected 1 to 102"):
        Flowers102(options()).samples("train")


def test_a_damaged_matlab_file_is_named(lay, options):
    tree = lay(Flowers102)
    whole = (tree.folder / "setid.mat").read_bytes()
    for damage in (b"", b"<html>", whole[: len(whole) // 2]):
        (tree.folder / "setid.mat").write_bytes(damage)
        with pytest.raises(DataError, match=r"setid\.mat (is not a readable MATLAB file|has no)"):
            Flowers102(options()).samples("train")


def test_food_takes_the_official_lists_with_classes_in_order_of_name(lay, options):
    lay(Food101)
    data = Food101(options())
    assert data.classes == ("apple pie", "waffles")
    assert listed(data) == {
        "train": [
            ("waffles/10.jpg", 1),
            ("waffles/11.jpg", 1),
            ("apple_pie/10.jpg", 0),
            ("apple_pie/11.jpg", 0),
        ],
        "test": [("apple_pie/12.jpg", 0), ("waffles/12.jpg", 1)],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected {"),
        ('{"apple_pie": [1]}', "expected {"),
        ('{"pizza": ["pizza/1"]}', "class 'pizza' is none of the 2 classes"),
        ('{"apple_pie": ["../../secret"]}', "leads out of"),
    ],
)
def test_a_food_list_that_is_wrong_is_named(text, message, lay, options):
    lay(Food101).write("meta/test.json", text)
    with pytest.raises(DataError, match=rf"test\.json.*{message}"):
        Food101(options()).samples("train")


@pytest.mark.parametrize("name", ["fgvc_aircraft", "fgvc-aircraft-2013b/data"])
def test_aircraft_take_the_official_lists_with_names_as_they_are(name, lay, options):
    lay(FgvcAircraft, name)
    data = FgvcAircraft(options())
    assert data.classes == ("737-400", "C-130", "F/A-18")
    assert listed(data)["val"] == [("0012.jpg", 2), ("0011.jpg", 1), ("0010.jpg", 0)]
    assert data.notes == ("official split, which CoOp takes",)


@pytest.mark.parametrize(
    ("line", "message"),
    [("0000", "expected '0034309 707-320'"), ("0000 747", "class '747' is none of the 3")],
)
def test_a_wrong_line_of_an_aircraft_list_is_named(line, message, lay, options):
    lay(FgvcAircraft).write("images_variant_test.txt", f"{line}\n")
    with pytest.raises(DataError, match=rf"images_variant_test\.txt: .*{message}"):
        FgvcAircraft(options()).samples("train")


def test_scenes_take_the_first_partition_and_say_indoor_first(lay, options):
    lay(Sun397)
    data = Sun397(options())
    assert data.classes == ("abbey", "indoor apse", "boat deck")
    assert [label for _, label in listed(data)["train"]] == [0, 0, 1, 1, 2, 2]
    assert listed(data)["test"][2] == ("a/apse/indoor/sun_1.jpg", 1)
    assert "first partition" in data.notes[1]


def test_scenes_without_partitions_are_split_by_key(lay, options):
    lay(Sun397, lists=False)
    data = Sun397(options())
    assert {split: len(rows) for split, rows in listed(data).items()} == {"train": 6, "val": 3, "test": 3}
    assert "made by key" in data.notes[1]
    (data.root / "sun397/SUN397/a/abbey/sun_1.jpg").unlink()
    with pytest.raises(DataError, match="11 of 12 images in 3 of 3 class folders"):
        Sun397(options()).samples("train")
    shutil.rmtree(data.root / "sun397/SUN397/a/apse")
    with pytest.raises(DataError, match=r"7 of 12 images in 2 of 3 class folders.*missing: a/apse/indoor"):
        Sun397(options()).samples("train")


@pytest.mark.parametrize("text", ["abbey\n/a/apse\n", "/a/abbey\n", "/a/../b\n/a/apse\n"])
def test_a_wrong_list_of_scenes_is_named(text, lay, options):
    lay(Sun397).write("ClassName.txt", text)
    with pytest.raises(DataError, match=r"ClassName\.txt: .*expected 397 lines like '/a/abbey'"):
        Sun397(options()).samples("train")


def test_scenes_as_torchvision_lays_them_out_are_pointed_at(options, plant):
    plant("SUN397", {"a/abbey": 1})
    with pytest.raises(MissingError, match="SUN397 is there, but it is expected inside a folder sun397"):
        Sun397(options()).samples("train")


@pytest.mark.parametrize("name", ["dtd", "dtd/dtd"])
def test_textures_take_the_first_official_split(name, lay, options):
    lay(DescribableTextures, name)
    data = DescribableTextures(options())
    assert data.classes == ("banded", "polka-dotted")
    assert listed(data) == {
        split: [(f"banded/banded_000{n}.jpg", 0), (f"polka-dotted/polka-dotted_000{n}.jpg", 1)]
        for n, split in enumerate(("train", "val", "test"))
    }


def test_satellite_images_are_split_by_key_and_said_as_coop_does(lay, options):
    tree = lay(EuroSat)
    data = EuroSat(options())
    assert (data.classes[0], data.classes[3], data.classes[9]) == (
        "Annual Crop Land",
        "Highway or Road",
        "Sea or Lake",
    )
    assert {split: len(rows) for split, rows in listed(data).items()} == {"train": 20, "val": 10, "test": 20}
    assert all(s.id.startswith("SeaLake/") == (s.label == 9) for s in data.samples("test"))
    shutil.rmtree(tree.images / "River")
    with pytest.raises(DataError, match=r"45 of 50 images in 9 of 10 class folders of .*missing: River"):
        EuroSat(options()).samples("train")


def test_actions_take_the_first_official_split_of_the_middle_frames(lay, options):
    lay(Ucf101)
    data = Ucf101(options())
    assert data.classes == ("Apply Eye Makeup", "Handstand Pushups", "Yo Yo")
    assert [label for _, label in listed(data)["train"]] == [0, 1, 2, 0, 1, 2]
    assert listed(data)["test"][1] == ("Handstand_Pushups/v_HandstandPushups_g00_c01.jpg", 1)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("classInd.txt", "2 YoYo", "expected '1 ActionName'"),
        ("trainlist01.txt", "YoYo.avi 3", "expected 'ActionName/"),
        ("testlist01.txt", "Archery/v_Archery_g00_c01.avi", "class 'Archery' is none of the 3"),
    ],
)
def test_a_wrong_line_of_an_action_list_is_named(file, line, message, lay, options):
    lay(Ucf101).write(f"ucfTrainTestlist/{file}", f"{line}\n")
    with pytest.raises(DataError, match=rf"{file}: .*{message}"):
        Ucf101(options()).samples("train")


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        (StanfordCars, "devkit/cars_meta.mat"),
        (Flowers102, "setid.mat"),
        (Food101, "meta/test.json"),
        (Sun397, "Testing_01.txt"),
        (DescribableTextures, "labels/val1.txt"),
        (Ucf101, "ucfTrainTestlist/classInd.txt"),
    ],
)
def test_without_any_list_the_files_that_would_help_are_named(kind, gone, lay, options):
    (lay(kind).folder / gone).unlink()
    with pytest.raises(DataError, match=rf"(?s)neither .*{kind.split_file} nor .*{gone} is there.*Expected:"):
        kind(options()).samples("train")


@pytest.mark.parametrize("kind", LAYOUTS, **named)
def test_an_image_that_the_authors_list_and_is_not_there_is_named(kind, lay, options):
    path = LAYOUTS[kind][1]
    (lay(kind).images / path).unlink()
    with pytest.raises(DataError, match=rf"(missing files: .*{path}|49 of 50 images)"):
        kind(options()).samples("train")


@pytest.mark.parametrize("kind", LAYOUTS, **named)
def test_what_is_not_on_disk_is_drawn_with_what_helps(kind, options, tmp_path):
    with pytest.raises(MissingError) as caught:
        kind(options()).samples("train")
    text = str(caught.value)
    for part in (
        *kind.folders,
        *kind.parts,
        "├── ",
        "--data-root DIR",
        getattr(kind, "split_file", "images"),
    ):
        assert part in text
    assert ("--allow-download" in text) == hasattr(kind, "megabytes")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", LAYOUTS, **named)
def test_a_folder_that_lacks_its_images_shows_the_layout(kind, options, plant):
    root = plant(kind.folders[0], {"other": 0})
    with pytest.raises(DataError, match=rf"lacks {kind.parts[0]}.*; it holds other. Expected:"):
        kind(options(offline=False)).samples("train")
    assert root.is_dir()  # what is there is never overwritten


@pytest.mark.parametrize("kind", LAYOUTS, **named)
def test_every_promise_of_a_dataset_is_kept(kind, lay, tmp_path):
    lay(kind)
    (record,) = (record for record in RECORDS if record.name == kind.known_as)
    subject = Subject(record, lambda: kind, "", importable=False, data_root=tmp_path)
    checks = run_checks(CHECKS, subject)
    wrong = {check.name: check.detail for check in checks if check.outcome is Outcome.FAILED}
    # The tree is smaller than the set that the record speaks of.
    assert "the record says" in wrong.pop("record_tells_the_truth")
    assert not wrong


# --- downloads, through torchvision ---


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Stand in for the network: an address is answered with the file of the same name in a folder."""
    from torchvision.datasets import utils

    shelf = tmp_path / "served"
    shelf.mkdir()

    def retrieve(url, filename, chunk_size=0):
        shutil.copyfile(shelf / url.rpartition("/")[2], filename)

    monkeypatch.setattr(utils, "_urlretrieve", retrieve)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, max_hops=3: url)
    return shelf


def pack(archive, *folders):
    """An archive of folders, each under its own name; its MD5."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for folder in folders:
                for path in sorted(folder.rglob("*")):
                    zipped.write(path, path.relative_to(folder.parent))
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for folder in folders:
                tar.add(folder, folder.name)
    return hashlib.md5(archive.read_bytes()).hexdigest()


def fetched(kind, options, root):
    data = kind(options(root=root, offline=False))
    count = data.size
    assert kind(options(root=root)).size == count  # a second time nothing is fetched
    assert not [p for p in root.rglob("*") if p.suffix in (".gz", ".tgz", ".zip", ".partial")]
    return count, sorted(path.relative_to(root).as_posix() for path in root.glob("*/*"))


def test_flowers_are_downloaded(lay, options, served, tmp_path, monkeypatch):
    from torchvision.datasets import Flowers102 as Official

    made = lay(Flowers102, root=tmp_path / "made").folder
    sums = {"image": ("102flowers.tgz", pack(served / "102flowers.tgz", made / "jpg"))}
    for what, name in (("label", "imagelabels.mat"), ("setid", "setid.mat")):
        shutil.copyfile(made / name, served / name)
        sums[what] = (name, hashlib.md5((made / name).read_bytes()).hexdigest())
    monkeypatch.setattr(Official, "_file_dict", sums)
    count, there = fetched(Flowers102, options, tmp_path / "data")
    assert count == 6
    assert there == [f"flowers-102/{name}" for name in ("imagelabels.mat", "jpg", "setid.mat")]


def test_food_is_downloaded(lay, options, served, tmp_path, monkeypatch):
    from torchvision.datasets import Food101 as Official

    made = lay(Food101, root=tmp_path / "made").folder
    monkeypatch.setattr(Official, "_MD5", pack(served / "food-101.tar.gz", made))
    assert fetched(Food101, options, tmp_path / "data") == (6, ["food-101/images", "food-101/meta"])


def test_aircraft_are_downloaded(lay, options, served, tmp_path):
    made = lay(FgvcAircraft, "fgvc-aircraft-2013b/data", root=tmp_path / "made").folder
    pack(served / "fgvc-aircraft-2013b.tar.gz", made.parent)
    assert fetched(FgvcAircraft, options, tmp_path / "data") == (9, ["fgvc-aircraft-2013b/data"])


def test_scenes_are_downloaded(lay, options, served, tmp_path, monkeypatch):
    from torchvision.datasets import SUN397 as Official  # noqa: N811 (the set's name is in capitals)

    made = lay(Sun397, root=tmp_path / "made", lists=False).folder
    monkeypatch.setattr(Official, "_DATASET_MD5", pack(served / "SUN397.tar.gz", made / "SUN397"))
    assert fetched(Sun397, options, tmp_path / "data") == (12, ["sun397/SUN397"])


def test_textures_are_downloaded(lay, options, served, tmp_path, monkeypatch):
    from torchvision.datasets import DTD as Official  # noqa: N811 (the set's name is in capitals)

    made = lay(DescribableTextures, root=tmp_path / "made").folder
    monkeypatch.setattr(Official, "_MD5", pack(served / "dtd-r1.0.1.tar.gz", made))
    assert fetched(DescribableTextures, options, tmp_path / "data") == (6, ["dtd/images", "dtd/labels"])


def test_satellite_images_are_downloaded(lay, options, served, tmp_path, monkeypatch):
    from torchvision.datasets import eurosat as official

    made = lay(EuroSat, root=tmp_path / "made").folder
    md5 = pack(served / "EuroSAT.zip", made / "2750")
    real = official.download_and_extract_archive
    monkeypatch.setattr(
        official,
        "download_and_extract_archive",
        lambda url, **settings: real(url, **{**settings, "md5": md5}),
    )
    assert fetched(EuroSat, options, tmp_path / "data") == (50, ["eurosat/2750"])


# --- CIFAR-10 ---


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    monkeypatch.setattr(Cifar10, "expected_images", dict.fromkeys(Cifar10.expected_images, 20))

    def make(root=tmp_path):
        folder = root / "cifar-10-batches-bin"
        folder.mkdir(parents=True)
        (folder / "batches.meta.txt").write_text("\n".join(f"class_{n}" for n in range(10)) + "\n\n")
        generator = np.random.default_rng(0)
        for stem in Cifar10.expected_images:
            records = generator.integers(0, 256, (20, cifar10.RECORD), dtype=np.uint8)
            records[:, 0] = (np.arange(20) + 3) % 10
            (folder / f"{stem}.bin").write_bytes(records.tobytes())
        return folder

    return make


def test_cifar10_joins_its_five_batches_in_order(cifar, options):
    folder = cifar()
    data = Cifar10(options())
    assert data.classes[:2] == ("class 0", "class 1")
    train = data.samples("train")
    assert [s.id for s in train[::20]] == [f"data_batch_{n}/00000" for n in range(1, 6)]
    assert (len(train), len(data.samples("test")), train[47].id, train[47].label) == (
        100,
        20,
        "data_batch_3/00007",
        0,
    )
    raw = (folder / "data_batch_3.bin").read_bytes()[7 * 3073 + 1 : 8 * 3073]
    pixels = np.asarray(train[47].image.open())
    assert pixels[5, 9].tolist() == [raw[5 * 32 + 9], raw[1024 + 5 * 32 + 9], raw[2048 + 5 * 32 + 9]]


def test_a_cifar10_batch_that_is_cut_or_lost_is_named(cifar, options):
    folder = cifar()
    batch = folder / "data_batch_4.bin"
    batch.write_bytes(batch.read_bytes()[: 3073 * 11 + 5])
    with pytest.raises(DataError, match=r"data_batch_4\.bin has 11 of 20 records and 5 bytes of one more"):
        Cifar10(options()).samples("train")
    batch.unlink()
    with pytest.raises(DataError, match=r"lacks data_batch_4\.bin"):
        Cifar10(options()).samples("train")


def test_a_cifar10_label_out_of_range_is_named(cifar, options):
    folder = cifar()
    data = bytearray((folder / "test_batch.bin").read_bytes())
    data[2 * 3073] = 10
    (folder / "test_batch.bin").write_bytes(bytes(data))
    with pytest.raises(DataError, match="record 2 has label 10: expected 0 to 9"):
        Cifar10(options()).samples("train")


def test_pickled_cifar10_is_not_read_and_the_message_says_so(options, tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(MissingError, match="cifar-10-batches-py is there, but its files are pickles"):
        Cifar10(options()).samples("train")


def test_cifar10_is_downloaded(cifar, options, served, tmp_path, monkeypatch):
    archive = served / "cifar-10-binary.tar.gz"
    monkeypatch.setattr(cifar10, "MD5", pack(archive, cifar(tmp_path / "made")))
    count, there = fetched(Cifar10, options, tmp_path / "data")
    assert (count, len(there)) == (120, 7)
