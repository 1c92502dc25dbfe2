"""3D Shapes, MPI3D, 3DIdent and its kin, on small files of their formats: the right pixels beside the right factors."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from lpcm.datasets import mpi3d, shapes3d
from lpcm.datasets.grids import Axis, Grid
from lpcm.datasets.ident3d import LATENTS, OBJECTS, Causal3DIdent, Multimodal3DIdent, ThreeDIdent
from lpcm.datasets.mpi3d import Mpi3d
from lpcm.datasets.shapes3d import Shapes3D
from lpcm.errors import DataError, MissingError, UsageError
from lpcm.plugin.truth import FactorKind

CATEGORICAL, CONTINUOUS, ANGLE = FactorKind.CATEGORICAL, FactorKind.CONTINUOUS, FactorKind.ANGLE
# 3 x 2 x 5 pictures instead of half a million
SMALL = Grid(
    (
        Axis("hue", ANGLE, (0.0, 2.0, 4.0)),
        Axis("shape", CATEGORICAL, (0, 1), ("cube", "ball")),
        Axis("turn", CONTINUOUS, (-30, -15, 0, 15, 30)),
    ),
    label="shape",
)


def pictures(count):
    """Pictures whose every pixel says which it is."""
    images = np.zeros((count, 64, 64, 3), np.uint8)
    images[..., 0] = np.arange(count)[:, None, None]
    images[..., 1, 2] = 7
    return images


def check_rows(data, count):
    """Every picture is beside the factors of its place in the grid; returns how many there are."""
    seen = 0
    for split in data.splits:
        for sample, values in zip(data.samples(split), data.factors(split).values, strict=True):
            number = int(sample.id)
            image = np.asarray(sample.image.open())
            assert (image[..., 0] == number).all()
            assert image.shape == (64, 64, 3)
            assert (image[..., 1, 2] == 7).all()
            hue, shape, turn = np.unravel_index(number, SMALL.shape)
            assert values.tolist() == [2.0 * hue, shape, 15.0 * turn - 30]
            assert sample.label == shape
            seen += 1
    assert seen == count
    return seen


# --- 3D Shapes ---


@pytest.fixture
def h5(tmp_path, monkeypatch):
    import h5py

    monkeypatch.setattr(shapes3d, "GRID", SMALL)
    shapes3d._opened.cache_clear()
    grid = np.stack(np.unravel_index(np.arange(30), SMALL.shape), axis=1)
    labels = grid * [0.1, 1.0, 15.0] + [0, 0, -30]

    def make(images=None, labels=labels, names=("images", "labels")):
        (tmp_path / "3dshapes").mkdir(exist_ok=True)
        with h5py.File(tmp_path / "3dshapes" / "3dshapes.h5", "w") as file:
            file.create_dataset(names[0], data=pictures(30) if images is None else images, compression="gzip")
            file.create_dataset(names[1], data=labels)
        return tmp_path / "3dshapes" / "3dshapes.h5"

    yield make
    shapes3d._opened.cache_clear()


def test_shapes3d_has_each_picture_beside_its_factors(h5, options):
    h5()
    data = Shapes3D(options())
    check_rows(data, 30)
    assert data.factors("test").kinds == (ANGLE, CATEGORICAL, CONTINUOUS)
    assert data.notes == ("split by key: about 50 % train, 20 % val, 30 % test of each class",)


def test_the_grid_of_shapes3d_is_the_documented_one():
    assert shapes3d.GRID.size == 480_000
    assert shapes3d.GRID.shape == (10, 10, 10, 8, 4, 15)
    orientation = shapes3d.GRID.axes[-1].values
    assert (orientation[0], orientation[7], orientation[-1]) == (-30, 0, 30)
    assert shapes3d.GRID.axes[0].values[5] == pytest.approx(math.pi)  # half of the turn, but for rounding


def test_a_count_takes_some_and_more_hold_fewer(h5, options):
    h5()
    few, many = Shapes3D(options("20")), Shapes3D(options("25"))
    ids = [{s.id for split in data.splits for s in data.samples(split)} for data in (few, many)]
    assert check_rows(few, 20) == len(ids[0])
    assert ids[0] < ids[1]
    assert few.notes[0] == "20 of 30 pictures, drawn by key"
    assert few.digest() != many.digest()


@pytest.mark.parametrize(
    ("argument", "message"),
    [("19", "expected 20 to 30"), ("31", "expected 20 to 30"), ("toy", "'toy' is neither")],
)
def test_a_count_that_is_not_there_is_refused(h5, options, argument, message):
    h5()
    with pytest.raises(UsageError, match=message):
        Shapes3D(options(argument)).samples("train")


def test_another_file_than_the_official_one_is_refused(h5, options):
    path = h5(labels=np.roll(np.stack(np.unravel_index(np.arange(30), SMALL.shape), axis=1), 1, axis=0))
    with pytest.raises(
        DataError, match=r"(?s)hue of picture 0 is 2.*expected value 0.*not the official file"
    ):
        Shapes3D(options()).samples("train")
    h5(images=pictures(29))
    with pytest.raises(DataError, match=r"'images': \(29, 64, 64, 3\).*expected .*\(30, 64, 64, 3\)"):
        Shapes3D(options()).samples("train")
    h5(names=("pictures", "labels"))
    with pytest.raises(DataError, match="'images': None"):
        Shapes3D(options()).samples("train")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        Shapes3D(options()).samples("train")


def test_without_h5py_the_extra_is_named(h5, options, monkeypatch):
    h5()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingError, match=r"(?s)h5py, which is not installed.*pip install 'lpcm\[hdf5\]'"):
        Shapes3D(options()).samples("train")


# --- MPI3D ---


@pytest.fixture
def npz(tmp_path, monkeypatch):
    monkeypatch.setattr(Mpi3d, "_grid", lambda self: SMALL)
    (tmp_path / "mpi3d").mkdir()

    def make(name="mpi3d_real.npz", save=np.savez, images=None):
        path = tmp_path / "mpi3d" / name
        save(path, images=pictures(30) if images is None else images)
        return path

    return make


def test_mpi3d_reads_its_pictures_in_place(npz, options):
    npz()
    check_rows(Mpi3d(options()), 30)
    check_rows(Mpi3d(options("real,20")), 20)
    check_rows(Mpi3d(options("20")), 20)


def test_an_unpacked_array_and_one_in_the_shape_of_the_grid_do_too(npz, options, tmp_path):
    np.save(tmp_path / "mpi3d" / "mpi3d_toy.npy", pictures(30).reshape(3, 2, 5, 64, 64, 3))
    check_rows(Mpi3d(options("toy")), 30)


def test_the_grids_of_mpi3d_are_the_documented_ones(options):
    assert Mpi3d(options())._grid().shape == (6, 6, 2, 3, 3, 40, 40)
    assert Mpi3d(options())._grid().size == 1_036_800
    assert Mpi3d(options("complex"))._grid().shape == (4, 4, 2, 3, 3, 40, 40)
    assert Mpi3d(options("complex,100"))._grid().axes[1].words[2] == "croissant"


def test_a_variant_that_is_not_there_names_its_file(npz, options):
    npz()
    with pytest.raises(MissingError, match=r"has no mpi3d_toy\.npz or mpi3d_toy\.npy"):
        Mpi3d(options("toy")).samples("train")
    with pytest.raises(
        UsageError, match="'toys' is neither: expected real, realistic, toy, complex and a number"
    ):
        Mpi3d(options("toys"))


def test_a_compressed_archive_says_how_to_unpack_it(npz, options):
    npz(save=np.savez_compressed)
    with pytest.raises(DataError, match=r"(?s)is compressed.*python -m zipfile -e .*mpi3d_real\.npz"):
        Mpi3d(options()).samples("train")


def test_other_arrays_are_refused_and_objects_are_never_unpickled(npz, options):
    npz(images=pictures(31))
    with pytest.raises(DataError, match=r"shape \(31, 64, 64, 3\): expected 30 pictures"):
        Mpi3d(options()).samples("train")
    npz(images=pictures(30).astype(np.int16))
    with pytest.raises(DataError, match="an array of int16: expected uint8"):
        Mpi3d(options()).samples("train")
    npz(images=np.array([{"a": 1}] * 30, dtype=object))
    with pytest.raises(DataError, match="an array of object: expected uint8"):
        Mpi3d(options()).samples("train")
    npz(save=lambda path, images: np.savez(path, pictures=images))
    with pytest.raises(DataError, match=r"has no array images: it has pictures\.npy"):
        Mpi3d(options()).samples("train")


def test_a_file_that_is_cut_off_is_refused(npz, options, tmp_path):
    path = npz()
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(DataError, match="cannot be read as a numpy file"):
        Mpi3d(options()).samples("train")
    np.save(tmp_path / "mpi3d" / "mpi3d_toy.npy", pictures(30))
    toy = tmp_path / "mpi3d" / "mpi3d_toy.npy"
    toy.write_bytes(toy.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"ends after 368,767 bytes of 368,768"):
        Mpi3d(options("toy")).samples("train")


# --- 3DIdent and its kin ---


def latents(count, seed):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 10))


@pytest.fixture
def ident(paint, tmp_path):
    root = tmp_path / "3dident"
    for place, count in {"train": 12, "test": 5}.items():
        for k in range(count):
            paint(root / place / "images" / f"{str(k).zfill(2 if count > 10 else 1)}.png")
        np.save(root / place / "raw_latents.npy", latents(count, count))
    return root


def test_3dident_has_its_ten_latents_as_factors(ident, options):
    data = ThreeDIdent(options())
    assert data.splits == ("train", "test")
    assert data.factors("train").names == LATENTS
    assert set(data.factors("train").kinds) == {CONTINUOUS}
    np.testing.assert_array_equal(data.factors("train").values, latents(12, 12))
    assert [s.id for s in data.samples("test")][:2] == ["test/images/0.png", "test/images/1.png"]
    assert data.samples("train")[11].id == "train/images/11.png"
    assert data.classes == ("teapot",)


def test_a_count_takes_that_many_of_each_split(ident, options):
    data = ThreeDIdent(options("10"))
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 10, "test": 5}
    every = latents(12, 12)
    for sample, row in zip(data.samples("train"), data.factors("train").values, strict=True):
        np.testing.assert_array_equal(row, every[int(sample.id[-6:-4])])
    for wrong in ("9", "ten"):
        with pytest.raises(UsageError, match="a number of pictures a split, 10 or more"):
            ThreeDIdent(options(wrong))


def test_latents_that_do_not_fit_are_named(ident, options):
    np.save(ident / "train" / "raw_latents.npy", latents(13, 1))
    with pytest.raises(DataError, match=r"12 of the 13 images .*missing files: train/images/12\.png"):
        ThreeDIdent(options()).samples("train")
    np.save(ident / "train" / "raw_latents.npy", latents(12, 1)[:, :9])
    with pytest.raises(DataError, match=r"shape \(12, 9\): expected \(n, 10\)"):
        ThreeDIdent(options()).samples("train")
    np.save(ident / "train" / "raw_latents.npy", np.array([None] * 3), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read as a numpy file"):
        ThreeDIdent(options()).samples("train")
    broken = latents(12, 1)
    broken[3, 4] = np.nan
    np.save(ident / "train" / "raw_latents.npy", broken)
    with pytest.raises(DataError, match="factor 'rotation_beta' has a value that is not a finite number"):
        ThreeDIdent(options()).samples("train")
    (ident / "train" / "raw_latents.npy").unlink()
    with pytest.raises(DataError, match=r"raw_latents\.npy is not there"):
        ThreeDIdent(options()).samples("train")


def test_causal3dident_is_labelled_by_its_object(paint, options, tmp_path):
    root = tmp_path / "causal3dident"
    for place in ("trainset", "testset"):
        for k in range(7):
            for number in range(3):
                paint(root / place / f"images_{k}" / f"{number}.png")
            np.save(root / place / f"raw_latents_{k}.npy", latents(3, k))
    data = Causal3DIdent(options())
    assert data.classes == OBJECTS
    factors = data.factors("test")
    assert factors.names == ("object_shape", *LATENTS)
    for sample, row in zip(data.samples("test"), factors.values, strict=True):
        assert row[0] == sample.label == int(sample.id.split("/")[1].removeprefix("images_"))
        np.testing.assert_array_equal(row[1:], latents(3, sample.label)[int(sample.id[-5])])


HEADER = (
    "object_shape,object_xpos,object_ypos,object_zpos,object_alpharot,object_betarot,object_gammarot,"
    "object_color,spotlight_pos,spotlight_color,background_color"
)


@pytest.fixture
def multimodal(paint, tmp_path):
    root = tmp_path / "multimodal3dident"
    for place in ("train", "val", "test"):
        for k in range(7):
            paint(root / place / "images" / f"{k}.png")
        rows = [f"{k},{k % 3},{k % 2},0.0,0.1,0.{k},0.3,0.{k},0.5,0.25,0.7" for k in range(7)]
        (root / place / "latents_image.csv").write_text("\n".join([HEADER, *rows]) + "\n")
        (root / place / "text").mkdir()
        (root / place / "text" / "text_raw.txt").write_text(
            "\n".join(f"A red {name} is at the left." for name in OBJECTS)
        )
    return root


def test_multimodal3dident_has_sentences_and_hues_as_angles(multimodal, options):
    data = Multimodal3DIdent(options())
    assert data.splits == ("train", "val", "test")
    factors = data.factors("val")
    told = dict(zip(factors.names, factors.kinds, strict=True))
    assert told["object_shape"] is told["object_xpos"] is CATEGORICAL
    assert told["object_betarot"] is CONTINUOUS
    assert told["object_color"] is told["spotlight_pos"] is ANGLE
    assert "object_zpos" not in told
    values = dict(zip(factors.names, factors.values.T, strict=True))
    np.testing.assert_allclose(values["background_color"], 0.7 * math.tau, atol=1e-12)  # rounding of float64
    np.testing.assert_array_equal(values["object_xpos"], np.arange(7) % 3)
    for k, sample in enumerate(data.samples("val")):
        assert (sample.id, sample.label) == (f"val/images/{k}.png", k)
        assert sample.captions == (f"A red {OBJECTS[k]} is at the left.",)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("latents_image.csv", lambda t: t.replace("spotlight_pos", "lamp"), "has no column spotlight_pos"),
        ("latents_image.csv", lambda t: t.replace("\n6,", "\n7,"), "object_shape 7: expected 0 to 6"),
        (
            "latents_image.csv",
            lambda t: t.replace("\n6,", "\nsix,"),
            "object_shape is continuous and has the value",
        ),
        ("text/text_raw.txt", lambda t: t + "\nOne more.", "8 sentences for 7 pictures: expected one each"),
    ],
)
def test_a_wrong_table_of_multimodal3dident_is_named(multimodal, options, file, change, message):
    path = multimodal / "train" / file
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message):
        Multimodal3DIdent(options()).samples("train")


@pytest.mark.parametrize("kind", [ThreeDIdent, Causal3DIdent, Multimodal3DIdent, Shapes3D, Mpi3d])
def test_a_set_that_is_not_there_says_its_layout(kind, options):
    with pytest.raises(MissingError, match=rf"(?s){kind.known_as} is not on disk.*└── {kind.folders[0]}/"):
        kind(options()).samples("train")


def test_the_files_of_mpi3d_are_those_of_its_variants():
    assert set(mpi3d.Mpi3d.files) == set(mpi3d.Mpi3d.variants)
