from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from lpcm.encoders.records import DATASETS, RECORDS
from lpcm.encoders.stored import StoredDataset, StoredEncoder, read_table
from lpcm.errors import DataError, MissingError, UsageError
from lpcm.plugin.contracts import DatasetOptions, StoredFeatures
from lpcm.plugin.records import Modality
from lpcm.store.files import FileDigests

N, D = 31, 7
CLASSES = ("cat", "dog", "owl")


def contents(**extra):
    key = np.random.default_rng(0)
    return {
        "features": key.standard_normal((N, D)).astype(np.float32),
        "ids": np.asarray([f"img/{i:02}.jpg" for i in range(N)]),
        "labels": np.arange(N) % 3,
        "classes": np.asarray(CLASSES),
        **extra,
    }


def save(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        tensors = {name: value for name, value in arrays.items() if value.dtype.kind in "fiu"}
        texts = {name: json.dumps(value.tolist()) for name, value in arrays.items() if name not in tensors}
        save_file(tensors, path, texts)
    else:
        np.save(path, arrays["features"])
        names = {"ids": "id", "labels": "label", "split": "split", "domains": "domain"}
        columns = [name for name in names if name in arrays]
        values = dict(arrays)
        if "classes" in arrays:
            values["labels"] = arrays["classes"][arrays["labels"]]
        rows = [",".join(names[name] for name in columns)]
        rows += [",".join(str(values[name][row]) for name in columns) for row in range(N)]
        path.with_suffix(".csv").write_text("\n".join(rows))
    return path


@pytest.fixture(params=[".npz", ".safetensors", ".npy"])
def suffix(request):
    return request.param


@pytest.fixture
def encode(options):
    return lambda path: StoredEncoder(options(argument=str(path)))


@pytest.fixture
def dataset(tmp_path):
    return lambda path: StoredDataset(
        DatasetOptions(argument=str(path), root=tmp_path, files=FileDigests(None))
    )


def test_rows_are_looked_up_by_id(tmp_path, suffix, encode):
    given = contents()
    encoder = encode(save(tmp_path / f"f{suffix}", **given))
    assert isinstance(encoder, StoredFeatures)
    assert (encoder.name, encoder.dim) == (f"features:f{suffix}", D)
    assert encoder.modalities == {Modality.IMAGE}
    np.testing.assert_array_equal(encoder.lookup(["img/17.jpg", "img/03.jpg"]), given["features"][[17, 3]])
    assert encoder.lookup([]).shape == (0, D)


def test_encoder_and_dataset_of_one_file_fit_together(tmp_path, suffix, encode, dataset):
    path = save(tmp_path / f"f{suffix}", **contents())
    data, encoder = dataset(path), encode(path)
    assert data.classes == CLASSES
    found = [sample for split in data.splits for sample in data.samples(split)]
    assert sorted(sample.id for sample in found) == sorted(contents()["ids"])
    assert all(sample.image is None for sample in found)
    assert {sample.id: sample.label for sample in found} == dict(
        zip(contents()["ids"].tolist(), (np.arange(N) % 3).tolist(), strict=True)
    )
    assert encoder.lookup([sample.id for sample in found]).shape == (N, D)


def test_a_keyed_split_has_every_class_in_every_part_and_is_always_the_same(tmp_path, suffix, dataset):
    path = save(tmp_path / f"f{suffix}", **contents())
    for split in ("train", "val", "test"):
        assert {sample.label for sample in dataset(path).samples(split)} == {0, 1, 2}
        assert dataset(path).samples(split) == dataset(path).samples(split)


def test_the_files_own_split_and_domains_are_kept(tmp_path, suffix, dataset):
    split = np.asarray(["train", "test", "val"])[np.arange(N) % 3]
    domains = np.asarray(["photo", "sketch"])[np.arange(N) % 2]
    data = dataset(save(tmp_path / f"f{suffix}", **contents(split=split, domains=domains)))
    assert data.domains == ("photo", "sketch")
    assert [sample.id for sample in data.samples("val")] == contents()["ids"][2::3].tolist()
    assert [sample.domain for sample in data.samples("train")][:3] == ["photo", "sketch", "photo"]


@pytest.mark.parametrize("file", [".npz", ".safetensors"])
def test_text_features_answer_for_the_class_names(tmp_path, file, encode, dataset):
    rows = np.arange(3 * D, dtype=np.float32).reshape(3, D)
    path = save(tmp_path / f"f{file}", **contents(text_features=rows))
    encoder = encode(path)
    assert encoder.modalities == frozenset(Modality)
    (template,) = dataset(path).templates
    prompts = [template.format(name) for name in ("owl", "cat")]
    np.testing.assert_array_equal(encoder.encode_texts(prompts).numpy(), rows[[2, 0]])
    with pytest.raises(DataError, match="a photo of a cow"):
        encoder.encode_texts(["a photo of a cow"])


def test_text_features_may_be_of_any_texts(tmp_path, encode):
    rows = np.ones((2, D), np.float32)
    path = save(
        tmp_path / "f.npz", **contents(text_features=rows, texts=np.asarray(["a photo of a cow", "b"]))
    )
    assert encode(path).lookup_texts(["b"]).shape == (1, D)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_become_float32(tmp_path, dtype, encode):
    given = contents()
    path = save(tmp_path / "f.npz", **{**given, "features": given["features"].astype(dtype)})
    assert encode(path).lookup(["img/00.jpg"]).dtype == np.float32


def test_labels_may_be_names(tmp_path, dataset):
    path = save(
        tmp_path / "f.npz", features=contents()["features"], labels=np.asarray(["b", "a"] * 15 + ["a"])
    )
    assert dataset(path).classes == ("a", "b")


def test_without_ids_rows_are_numbered(tmp_path, encode):
    given = contents()
    np.save(tmp_path / "f.npy", given["features"])
    np.testing.assert_array_equal(encode(tmp_path / "f.npy").lookup(["30"]), given["features"][30:])


def test_a_digest_moves_with_the_file_and_the_table_beside_it(tmp_path, encode, dataset):
    path = save(tmp_path / "f.npy", **contents())
    first, data = encode(path).digest(), dataset(path).digest()
    assert encode(path).digest() == first
    path.with_suffix(".csv").write_text(path.with_suffix(".csv").read_text().replace("cat", "cow"))
    second = encode(path).digest()
    np.save(path, contents()["features"] + 1)
    assert len({first, second, encode(path).digest()}) == 3
    assert dataset(path).digest() != data


def test_an_unknown_id_is_named_with_what_is_there(tmp_path, encode):
    with pytest.raises(DataError, match=r"1 of 2 samples, first 'img/0\.jpg'") as caught:
        encode(save(tmp_path / "f.npz", **contents())).lookup(["img/01.jpg", "img/0.jpg"])
    assert "did you mean" in caught.value.hint


def test_pickled_arrays_are_never_read(tmp_path, encode):
    given = contents()
    with (tmp_path / "f.npz").open("wb") as file:
        np.savez(file, **{**given, "ids": given["ids"].astype(object)})
    with pytest.raises(DataError, match="pickle") as caught:
        encode(tmp_path / "f.npz").lookup(["img/00.jpg"])
    assert "dtype=str" in caught.value.hint


WRONG = {
    "no features": ({"features": None}, "has no `features`"),
    "flat features": ({"features": np.zeros(N)}, "expected floats"),
    "no finite features": ({"features": np.full((N, D), np.nan)}, "not finite in 31 rows, first row 0"),
    "same id": ({"ids": np.asarray(["x"] * N)}, "'x' more than once"),
    "too few ids": ({"ids": np.asarray(["x"])}, "expected 31 texts"),
    "too few labels": ({"labels": np.zeros(3, int)}, "expected 31 integers"),
    "label too large": ({"labels": np.full(N, 3)}, "expected 0 to 2"),
    "negative label": ({"labels": np.full(N, -1)}, "expected 0 to 2"),
    "unknown label": ({"labels": np.asarray(["cats"] * N)}, "'cats' is none of the classes"),
    "unknown split": ({"split": np.asarray(["valid"] * N)}, "expected train, val or test"),
    "short domains": ({"domains": np.asarray(["a"])}, "expected 31 texts"),
    "text features of another width": ({"text_features": np.zeros((3, D + 1))}, "expected"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_layout_is_said(tmp_path, case):
    change, message = WRONG[case]
    arrays = {name: value for name, value in {**contents(), **change}.items() if value is not None}
    with pytest.raises(DataError, match=message):
        read_table(save(tmp_path / "f.npz", **arrays))


@pytest.mark.parametrize("name", ["f.npz", "f.npy", "f.safetensors"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x93 nothing of the kind")
    with pytest.raises(DataError, match=name):
        read_table(tmp_path / name)


def test_a_dataset_without_labels_says_where_to_put_them(tmp_path, dataset):
    np.save(tmp_path / "f.npy", contents()["features"])
    with pytest.raises(DataError) as caught:
        dataset(tmp_path / "f.npy").samples("train")
    assert ".csv" in caught.value.hint


def test_a_table_without_ids_is_refused(tmp_path):
    np.save(tmp_path / "f.npy", contents()["features"])
    (tmp_path / "f.csv").write_text("name,label\na,b\n")
    with pytest.raises(DataError, match="no column `id`"):
        read_table(tmp_path / "f.npy")


def test_it_cannot_encode_anything_new(tmp_path, encode):
    with pytest.raises(UsageError, match="cannot encode"):
        encode(save(tmp_path / "f.npz", **contents())).encode_images(None)


def test_an_unknown_split_is_refused(tmp_path, dataset):
    with pytest.raises(UsageError, match="no split 'dev'"):
        dataset(save(tmp_path / "f.npz", **contents())).samples("dev")


@pytest.mark.parametrize(
    ("argument", "error"), [("", UsageError), ("f.pkl", UsageError), ("absent.npz", MissingError)]
)
def test_a_file_that_cannot_be_is_refused(options, argument, error):
    with pytest.raises(error):
        StoredEncoder(options(argument=argument))


def test_both_records_take_a_file():
    found = [record for record in (*RECORDS, *DATASETS) if record.name == "features"]
    assert [record.takes for record in found] == ["FILE", "FILE"]
