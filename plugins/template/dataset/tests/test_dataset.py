"""What this dataset, and not any dataset, should do."""

from pathlib import Path

from lpcm.plugin import DatasetOptions
from lpcm.store.files import FileDigests

from {{module}}.dataset import STYLES, Shapes


def test_both_styles_of_each_shape_are_in_each_split(tmp_path: Path):
    dataset = Shapes(DatasetOptions(root=tmp_path, files=FileDigests(None)))
    for split in dataset.splits:
        found = {(s.label, s.domain) for s in dataset.samples(split)}
        assert found == {
            (label, style) for label in range(len(dataset.classes)) for style in STYLES
        }
