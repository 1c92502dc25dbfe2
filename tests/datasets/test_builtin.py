from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from lpcm.datasets.digits import Digits
from lpcm.datasets.download import DownloadableDataset
from lpcm.datasets.imagenet_shift import ImageNetShift
from lpcm.datasets.placed import PlacedDataset
from lpcm.datasets.records import RECORDS


def load(record, options, tmp_path):
    module, _, name = record.loader.partition(":")
    needs_path = record.takes and not record.takes.startswith("[")
    return getattr(import_module(module), name)(options(tmp_path if needs_path else ""))


def test_names_are_unique_and_nothing_heavy_is_imported_to_know_them():
    assert len({record.name for record in RECORDS}) == len(RECORDS)
    code = "import sys, lpcm.datasets.records; print({'numpy', 'torch', 'PIL', 'sklearn'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "set()\n"
    )


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_every_record_loads_a_dataset_that_agrees_with_it(record, options, tmp_path):
    data = load(record, options, tmp_path)
    assert data.name.partition(":")[0] == record.name
    assert data.templates
    assert all(template.count("{}") == 1 for template in data.templates)
    if not record.takes:
        assert data.licence == record.licence


@pytest.mark.parametrize("record", [r for r in RECORDS if r.classes], ids=lambda record: record.name)
def test_the_page_on_datasets_says_what_the_record_says(record, options):
    page = Path(__file__).parents[2] / "docs" / "datasets.md"
    row = next(line for line in page.read_text().splitlines() if line.startswith(f"| `{record.name}` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:5] == [str(record.classes), f"{record.images:,}", f"{100 / record.classes:.2g} %"]
    assert cells[6] == record.licence
    data = load(record, options, Path())
    if isinstance(data, DownloadableDataset):
        assert cells[7] == f"{data.megabytes:,} MB"
    elif isinstance(data, ImageNetShift):
        assert cells[7] == "as its parts"
    else:
        assert cells[7].startswith("by hand" if isinstance(data, PlacedDataset) else "comes with")


def test_digits_come_with_scikit_learn(options):
    data = Digits(options())
    (record,) = (record for record in RECORDS if record.name == "digits")
    assert (len(data.classes), data.size) == (record.classes, record.images)
    assert data.chance == 0.1
    assert data.splits == ("train", "val", "test")
    labels = np.array([sample.label for sample in data.samples("test")])
    share = np.bincount(labels, minlength=10) / np.bincount(
        [sample.label for split in data.splits for sample in data.samples(split)], minlength=10
    )
    # 30 % of about 180 a class, to the next whole image
    assert np.all(np.abs(share - 0.3) < 0.5 / 174)
    assert "made by key" in data.notes[0]


def test_a_digit_keeps_all_its_grey_values(options):
    from sklearn.datasets import load_digits

    original = load_digits().images
    data = Digits(options())
    for sample in [*data.samples("train")[:17], *data.samples("test")[:17]]:
        pixels = np.asarray(sample.image.open()).astype(float)
        # 17 grey values spread over 0..255: half a step of rounding is far less than the step of 15.9
        assert np.abs(pixels * 16 / 255 - original[int(sample.id)]).max() < 0.04


def test_the_digits_digest_is_the_same_each_time(options):
    assert Digits(options()).digest() == Digits(options()).digest()
