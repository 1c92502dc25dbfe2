"""Records: what a plugin says about each thing that it offers, before anything heavy is imported.

A record is frozen and holds plain data; its ``loader`` is a ``"module:attr"`` string that is
resolved only when the thing is used. Nothing here imports numpy, torch or scikit-learn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

_NAME = re.compile(r"[a-z0-9]+(?:[-._][a-z0-9]+)*\Z")
_LOADER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\Z")


class Kind(str, Enum):
    """The seven kinds of thing that a plugin can add."""

    ENCODER = "encoder"
    GEOMETRY = "geometry"
    DISENTANGLER = "disentangler"
    ADAPTER = "adapter"
    TASK = "task"
    DATASET = "dataset"
    METRIC = "metric"

    @property
    def plural(self) -> str:
        """The kind as hooks and commands spell it: ``encoders``, ``geometries``, ..."""
        return self.value[:-1] + "ies" if self.value.endswith("y") else self.value + "s"

    @property
    def hook(self) -> str:
        """Name of the hook that yields records of this kind."""
        return f"lpcm_{self.plural}"


class Modality(str, Enum):
    """What an encoder can read."""

    IMAGE = "image"
    TEXT = "text"


class Role(str, Enum):
    """Why a disentangler is in a study."""

    METHOD = "method"
    CONTROL = "control"


@dataclass(frozen=True, kw_only=True)
class Param:
    """One setting of a disentangler, adapter or task: ``--set NAME.PARAM=VALUE`` or a study's ``[set]``.

    ``default`` also fixes the type; ``None`` stands for "decided from the data" and then ``type`` is needed.
    """

    name: str
    help: str
    default: Any = None
    type: type = str
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Record:
    """What all records have.

    Args:
        name: what a user types: lower case, digits, ``-``, ``.`` and ``_``.
        summary: one line for ``lpcm-eval ls``.
        loader: ``"module:attr"``; the attribute is called as the kind's contract says.
        requires: distributions that must be installed, as pip spells them.
        takes: what follows a colon in ``name:ARGUMENT``, for example ``"PATH"``; empty when nothing does.
        params: settings that a study may change.
        source: the paper, equation or package it comes from.
    """

    kind: ClassVar[Kind]

    name: str
    summary: str
    loader: str
    requires: tuple[str, ...] = ()
    takes: str = ""
    params: tuple[Param, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(
                f"{type(self).__name__} name {self.name!r}: expected lower-case letters and digits, "
                "joined by '-', '.' or '_', for example 'vit-b16'"
            )
        if not _LOADER.match(self.loader):
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has loader {self.loader!r}: expected 'package.module:attribute'"
            )
        if not self.summary or "\n" in self.summary:
            raise ValueError(f"{type(self).__name__} {self.name!r} needs a summary of one line")


@dataclass(frozen=True, kw_only=True)
class EncoderRecord(Record):
    """An encoder. The loader is called as ``attr(options: EncoderOptions) -> Encoder``.

    Args:
        trains: sides that can be trained: its encoder has ``trainable`` (``lpcm.plugin.trainable``).
    """

    kind: ClassVar[Kind] = Kind.ENCODER

    modalities: tuple[Modality, ...] = (Modality.IMAGE,)
    dim: int | None = None
    licence: str = ""
    trains: tuple[Modality, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GeometryRecord(Record):
    """A latent space. The loader is called as ``attr(dim: int, **params) -> Geometry``."""

    kind: ClassVar[Kind] = Kind.GEOMETRY

    identifies: str = "nothing"


@dataclass(frozen=True, kw_only=True)
class DisentanglerRecord(Record):
    """A disentangler. The loader is called as ``attr(random_state=int, **params) -> Disentangler``."""

    kind: ClassVar[Kind] = Kind.DISENTANGLER

    role: Role = Role.METHOD


@dataclass(frozen=True, kw_only=True)
class AdapterRecord(Record):
    """A classifier on frozen features. The loader is called as ``attr(**params) -> Adapter``."""

    kind: ClassVar[Kind] = Kind.ADAPTER

    needs: tuple[Modality, ...] = (Modality.IMAGE,)


@dataclass(frozen=True, kw_only=True)
class TaskRecord(Record):
    """A task. The loader is called as ``attr(**params) -> Task``."""

    kind: ClassVar[Kind] = Kind.TASK

    axes: tuple[Kind, ...] = (Kind.ENCODER, Kind.DATASET)


@dataclass(frozen=True, kw_only=True)
class DatasetRecord(Record):
    """A dataset. The loader is called as ``attr(options: DatasetOptions) -> Dataset``."""

    kind: ClassVar[Kind] = Kind.DATASET

    classes: int | None = None
    images: int | None = None
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class MetricRecord(Record):
    """A metric. The loader is called as ``attr(**params) -> Metric``."""

    kind: ClassVar[Kind] = Kind.METRIC

    range: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True


RECORD_TYPES: dict[Kind, type[Record]] = {
    record.kind: record
    for record in (
        EncoderRecord,
        GeometryRecord,
        DisentanglerRecord,
        AdapterRecord,
        TaskRecord,
        DatasetRecord,
        MetricRecord,
    )
}


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A finished run, as ``lpcm_run_finished`` receives it.

    Args:
        folder: where the run's files are.
        rows: the result rows as JSON objects, in the order of the study.
        exit_code: 0 done, 1 some cells failed.
    """

    folder: str
    rows: tuple[dict[str, Any], ...] = field(repr=False)
    exit_code: int = 0
