"""The split files of CoOp (Zhou et al., 2022): ``split_zhou_NAME.json``. Refuses rows that it cannot place.

Such a file maps ``train``, ``val`` and ``test`` to lists of ``[relative path, label, class name]``.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from lpcm.datasets.download import check_images
from lpcm.datasets.listing import SPLITS, Listing
from lpcm.datasets.names import checked_id, pretty_all
from lpcm.datasets.sources import FileImage
from lpcm.errors import DataError
from lpcm.plugin.contracts import Sample

_EXPECTED = 'expected {"train": [["folder/image.jpg", 0, "class name"], ...], "val": ..., "test": ...}'


def read_coop_split(name: str, file: Path, images: Path) -> Listing:
    """Samples as a split file has them.

    Args:
        name: the dataset, for messages.
        file: the JSON file.
        images: folder that its paths are relative to.

    Returns:
        Classes in the order of the file's labels, and the three splits in the file's order.

    Raises:
        DataError: when the file is not what it should be, or images that it lists are not there.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # both bad JSON and bad UTF-8
        raise DataError(
            f"{file} is not JSON ({error})", "The download may have been cut off: fetch it anew."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(content.get(split), list) for split in SPLITS):
        raise DataError(f"{file}: {_EXPECTED}")
    names: dict[int, str] = {}
    samples: dict[str, tuple[Sample, ...]] = {}
    for split in SPLITS:
        samples[split] = tuple(
            _sample(row, f"{file}: {split}[{number}]", names, images)
            for number, row in enumerate(content[split])
        )
    if sorted(names) != list(range(len(names))) or len(names) < 2:
        raise DataError(
            f"{file}: labels are {sorted(names)[:5]}...: expected 0 to c - 1 for two or more classes"
        )
    check_images(name, images, [sample.id for part in samples.values() for sample in part], file.name)
    classes, notes = pretty_all([names[label] for label in range(len(names))])
    return Listing(classes=classes, samples=samples, notes=(f"CoOp split ({file.name})", *notes))


def _sample(row: Any, where: str, names: dict[int, str], images: Path) -> Sample:
    match row:
        case [str(path), int(label), str(name)] if not isinstance(label, bool):
            pass
        case _:
            raise DataError(f"{where} is {row!r}: {_EXPECTED}")
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise DataError(f"{where}: path {path!r} leads out of {images}: expected one below it")
    if names.setdefault(label, name) != name:
        raise DataError(f"{where}: label {label} is {name!r} here and {names[label]!r} before")
    return Sample(checked_id(path), FileImage(images / path), label)
