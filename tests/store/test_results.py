"""Stored rows: whole or absent, and byte for byte what was written."""

import numpy as np
import pytest

from lpcm.store.results import ResultStore

ROW = {"value": 0.5, "cell": {"encoder": "é"}, "digests": {"encoder": "e"}}
TENSORS = {"outcomes": np.array([1.0, 0.0]), "predictions": np.array([3, 1])}
KEY = "ab" + "0" * 62


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path)


def test_a_row_is_read_back_as_it_was_written(store):
    written = store.put(KEY, ROW, TENSORS)
    read = store.get(KEY)
    assert read == written
    assert read.row["cell"] == ROW["cell"]
    assert read.row["key"] == KEY


def test_an_unknown_key_has_no_row(store):
    assert store.get(KEY) is None


@pytest.mark.parametrize(
    "damage", ["row cut", "row gone", "outcomes cut", "outcomes gone", "outcomes flipped", "row flipped"]
)
def test_a_damaged_row_counts_as_absent(store, tmp_path, damage):
    store.put(KEY, ROW, TENSORS)
    row, outcomes = tmp_path / "ab" / f"{KEY}.json", tmp_path / "ab" / f"{KEY}.safetensors"
    match damage:
        case "row cut":
            row.write_bytes(row.read_bytes()[:20])
        case "row gone":
            row.unlink()
        case "outcomes cut":
            outcomes.write_bytes(outcomes.read_bytes()[:-1])
        case "outcomes gone":
            outcomes.unlink()
        case "outcomes flipped":
            data = bytearray(outcomes.read_bytes())
            data[-1] ^= 1
            outcomes.write_bytes(bytes(data))
        case "row flipped":
            row.write_bytes(row.read_bytes().replace(b"0.5", b"0.9"))
    assert store.get(KEY) is None


def test_a_row_under_another_key_is_not_believed(store, tmp_path):
    store.put(KEY, ROW, TENSORS)
    other = "ab" + "1" * 62
    for suffix in ("json", "safetensors"):
        (tmp_path / "ab" / f"{other}.{suffix}").write_bytes(
            (tmp_path / "ab" / f"{KEY}.{suffix}").read_bytes()
        )
    assert store.get(other) is None
