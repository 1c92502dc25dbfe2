"""Features computed elsewhere: ``features:FILE`` as an encoder, and as a dataset of the same samples.

Layout, in ``.npz`` as arrays and in ``.safetensors`` as tensors (texts as JSON lists in its metadata):

=================  ===========================  ===========================================================
name               type                         meaning
=================  ===========================  ===========================================================
``features``       (n, d) float                 a row a sample
``ids``            n texts                      unique; default: the row numbers
``labels``         n integers, or n texts       class of each sample
``split``          n texts                      optional: train, val or test
``classes``        c texts                      optional: names in the order of integer labels
``domains``        n texts                      optional: style or origin
``text_features``  (q, d) float                 optional: features of texts
``texts``          q texts                      optional: those texts; default: ``classes``
=================  ===========================  ===========================================================

``.npy`` holds ``features`` alone. Beside it, and beside any of the others, may lie ``NAME.csv`` with the
columns ``id`` and ``label``, and if wanted ``split`` and ``domain``, a line a row. Without a split, samples
of each class are divided by key, about 50 : 20 : 30. It refuses pickled arrays, and ids that come twice.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lpcm.errors import DataError, MissingError, UsageError, nearest
from lpcm.keys import Key
from lpcm.plugin.contracts import Canary, DatasetOptions, EncoderOptions, Preprocess, Sample
from lpcm.plugin.records import Modality
from lpcm.store.digest import digest_of

if TYPE_CHECKING:
    import torch

SUFFIXES = (".npz", ".npy", ".safetensors")
_SPLITS = ("train", "val", "test")
_TEXTS = ("ids", "split", "classes", "domains", "texts")
_COLUMNS = {"id": "ids", "label": "labels", "split": "split", "domain": "domains"}


@dataclass(frozen=True, eq=False)
class Table:
    """Contents of a file of stored features, checked; rows are aligned.

    Args:
        features: (n, d) float32.
        ids: n unique texts.
        labels: (n,) int64, or ``None``.
        classes: c names; empty without labels.
        split: n names of splits; empty when the file has none.
        domains: n names; empty when the file has none.
        texts: q texts.
        text_features: (q, d) float32.
    """

    features: NDArray[np.float32]
    ids: tuple[str, ...]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    split: tuple[str, ...]
    domains: tuple[str, ...]
    texts: tuple[str, ...]
    text_features: NDArray[np.float32]


class StoredEncoder:
    """The encoder ``features:FILE``: looks rows up by sample id (``lpcm.plugin.contracts.StoredFeatures``).

    Args:
        options: ``argument`` is the file.
    """

    unit_norm = False
    preprocess: Preprocess | None = None
    canary: Canary | None = None

    def __init__(self, options: EncoderOptions) -> None:
        self._path = _file(options.argument)
        self._files = options.files
        self.name = f"features:{self._path.name}"

    @cached_property
    def modalities(self) -> frozenset[Modality]:
        """Images, by id, and texts where the file has features of texts."""
        return frozenset(Modality) if self._table.texts else frozenset({Modality.IMAGE})

    @property
    def dim(self) -> int:
        """Width of the features."""
        return int(self._table.features.shape[1])

    def digest(self) -> str:
        """Hex digest that moves with any byte of the file or of the table beside it."""
        return _digest(self._path, self._files)

    def lookup(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Rows of the named samples, (n, d) float32.

        Raises:
            DataError: names ids that are not in the file.
        """
        absent = [name for name in ids if name not in self._rows]
        if absent:
            close = nearest(absent[0], self._table.ids[:10_000])
            raise DataError(
                f"{self._path} has no features of {len(absent)} of {len(ids)} samples, first {absent[0]!r}; "
                f"it has {len(self._rows)}, first {self._table.ids[0]!r}",
                close or f"Its own samples are a dataset: --dataset features:{self._path}",
            )
        return self._table.features[[self._rows[name] for name in ids]]

    def lookup_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Rows of texts, (q, d) float32. Raises ``DataError`` that names texts that are not in the file."""
        places = {text: row for row, text in enumerate(self._table.texts)}
        absent = [text for text in texts if text not in places]
        if absent:
            raise DataError(
                f"{self._path} has no features of {len(absent)} of {len(texts)} texts, first {absent[0]!r}",
                nearest(absent[0], places) or "Store them under text_features, with the texts under texts.",
            )
        return self._table.text_features[[places[text] for text in texts]]

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """Raise ``UsageError``: there is no tower here, only its answers."""
        raise UsageError(f"encoder {self.name!r} holds stored features and cannot encode new images")

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """As ``lookup_texts``, as a tensor."""
        import torch

        return torch.from_numpy(self.lookup_texts(texts))

    @cached_property
    def _table(self) -> Table:
        return read_table(self._path)

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return {name: row for row, name in enumerate(self._table.ids)}


class StoredDataset:
    """The dataset ``features:FILE``: the samples of the file, without images.

    Args:
        options: ``argument`` is the file.
    """

    templates = ("{}",)
    splits = _SPLITS
    licence = "yours"

    def __init__(self, options: DatasetOptions) -> None:
        self._path = _file(options.argument)
        self._files = options.files
        self.name = f"features:{self._path.name}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels."""
        return self._table.classes

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains, sorted."""
        return tuple(sorted(set(self._table.domains)))

    def samples(self, split: str) -> Sequence[Sample]:
        """List the samples of a split, in the order of the file."""
        if split not in self._members:
            raise UsageError(
                f"dataset {self.name!r} has no split {split!r}: expected {', '.join(self._members)}"
            )
        return self._members[split]

    def digest(self) -> str:
        """Hex digest that moves with any byte of the file or of the table beside it."""
        return digest_of(["dataset", _digest(self._path, self._files)])

    @cached_property
    def _table(self) -> Table:
        return read_table(self._path)

    @cached_property
    def _members(self) -> dict[str, list[Sample]]:
        table = self._table
        if table.labels is None:
            raise DataError(f"{self._path} has no labels", "Add them under `labels`, or in a .csv beside it.")
        samples = [
            Sample(name, None, int(label), table.domains[row] if table.domains else "")
            for row, (name, label) in enumerate(zip(table.ids, table.labels, strict=True))
        ]
        if table.split:
            return {
                name: [s for s, own in zip(samples, table.split, strict=True) if own == name]
                for name in _SPLITS
            }
        from lpcm.datasets.splits import split_by_key

        strata = [table.classes[sample.label] for sample in samples]
        rows = split_by_key(table.ids, strata, Key.of(0).fold("features"))
        return {name: [samples[row] for row in rows[name]] for name in _SPLITS}


def read_table(path: Path) -> Table:
    """Read and check a file of stored features.

    Raises:
        DataError: when the layout is not the one above; it says what is wrong and where.
    """
    arrays = _arrays(path)
    beside = path.with_suffix(".csv")
    if beside.is_file():
        arrays.update(_columns(beside))
    if "features" not in arrays:
        known = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(f"{path} has no `features`: it has {known}", nearest("features", arrays))
    features = _matrix(path, "features", arrays["features"])
    n = len(features)
    ids = _texts(path, "ids", arrays.get("ids", np.arange(n)), n)
    if len(set(ids)) != n:
        twice = Counter(ids).most_common(1)[0][0]
        raise DataError(f"{path} has the id {twice!r} more than once: ids are unique")
    split = _texts(path, "split", arrays["split"], n) if "split" in arrays else ()
    odd = sorted(set(split) - set(_SPLITS))
    if odd:
        raise DataError(f"{path} has split {odd[0]!r}: expected train, val or test", nearest(odd[0], _SPLITS))
    labels, classes = _labels(path, arrays, n)
    texts = _texts(path, "texts", arrays.get("texts", np.asarray(classes, dtype=str)), None)
    text_features = np.zeros((0, features.shape[1]), np.float32)
    if "text_features" in arrays:
        text_features = _matrix(path, "text_features", arrays["text_features"])
        if text_features.shape != (len(texts), features.shape[1]):
            raise DataError(
                f"{path}: text_features has shape {text_features.shape}, expected "
                f"({len(texts)}, {features.shape[1]}): a row for each of `texts`, or else of the classes"
            )
    return Table(
        features=features,
        ids=ids,
        labels=labels,
        classes=classes,
        split=split,
        domains=_texts(path, "domains", arrays["domains"], n) if "domains" in arrays else (),
        texts=texts if "text_features" in arrays else (),
        text_features=text_features,
    )


def _file(argument: str) -> Path:
    if not argument:
        raise UsageError("features needs a file", "Type for example features:clip.npz")
    path = Path(argument).expanduser()
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path} has suffix {path.suffix!r}: expected one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise MissingError(f"there is no file {path}", "Check the path after features:")
    return path


def _digest(path: Path, files: Any) -> str:
    beside = path.with_suffix(".csv")
    return digest_of(["features", files.digests([path, *([beside] if beside.is_file() else [])])])


def _arrays(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".npy":
            return {"features": np.load(path, allow_pickle=False)}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        return _tensors(path)
    except (ValueError, EOFError, OSError, KeyError) as error:
        hint = "Arrays of objects are pickled and never read: store texts as numpy.asarray(texts, dtype=str)."
        raise DataError(f"{path} cannot be read: {error}", hint if "pickle" in str(error) else "") from error


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            found: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, TypeError) as error:  # TypeError: bfloat16, which numpy does not have
        raise ValueError(f"{error} (expected float16, float32 or float64 tensors)") from error
    for name in (*_TEXTS, "labels"):
        if name in metadata:
            found[name] = np.asarray(json.loads(metadata[name]))
    return found


def _columns(path: Path) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    columns = set(lines[0]) if lines else set()
    if "id" not in columns:
        raise DataError(f"{path} has no column `id`: expected id and label, and if wanted split and domain")
    found = {
        _COLUMNS[column]: np.asarray([line[column] or "" for line in lines])
        for column in _COLUMNS
        if column in columns
    }
    if "labels" in found and all(text.isdigit() for text in found["labels"]):
        found["labels"] = found["labels"].astype(np.int64)
    return found


def _matrix(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.size:
        raise DataError(f"{path}: {name} is {array.dtype} of shape {array.shape}, expected floats (n, d)")
    rows = np.ascontiguousarray(array, dtype=np.float32)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise DataError(
            f"{path}: {name} is not finite in {int(bad.sum())} rows, first row {int(bad.argmax())}"
        )
    return rows


def _texts(path: Path, name: str, array: NDArray[Any], n: int | None) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "USiu" or (n is not None and len(array) != n):
        expected = "texts" if n is None else f"{n} texts, one a row of features"
        raise DataError(f"{path}: {name} is {array.dtype} of shape {array.shape}, expected {expected}")
    decoded = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    return tuple(str(value) for value in decoded)


def _labels(
    path: Path, arrays: Mapping[str, Any], n: int
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    classes = _texts(path, "classes", arrays["classes"], None) if "classes" in arrays else ()
    if "labels" not in arrays:
        return None, classes
    given = arrays["labels"]
    if given.dtype.kind in "US":
        names = _texts(path, "labels", given, n)
        classes = classes or tuple(sorted(set(names)))
        unknown = sorted(set(names) - set(classes))
        if unknown:
            raise DataError(
                f"{path}: label {unknown[0]!r} is none of the classes", nearest(unknown[0], classes)
            )
        place = {name: label for label, name in enumerate(classes)}
        return np.asarray([place[name] for name in names], dtype=np.int64), classes
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise DataError(
            f"{path}: labels is {given.dtype} of shape {given.shape}, expected {n} integers or texts"
        )
    labels = given.astype(np.int64)
    classes = classes or tuple(str(label) for label in range(int(labels.max()) + 1))
    if labels.min() < 0 or labels.max() >= len(classes):
        raise DataError(
            f"{path}: labels run from {labels.min()} to {labels.max()}, expected 0 to {len(classes) - 1}: "
            f"there are {len(classes)} classes"
        )
    return labels, classes
