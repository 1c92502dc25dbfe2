"""The plan: a study's names resolved, its product spelt out as cells with their keys. Runs nothing.

Making a plan imports neither torch nor scikit-learn, so that a study that is already done
is answered at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lpcm import _core
from lpcm.errors import LpcmError, UsageError, nearest
from lpcm.plugin.contracts import Cell, Dataset, DatasetOptions, Encoder, EncoderOptions, Precision, Task
from lpcm.plugin.host import Found, PluginHost
from lpcm.plugin.records import AdapterRecord, Kind, Modality, Param, TaskRecord
from lpcm.store.digest import digest_of, file_digest
from lpcm.store.files import FileDigests
from lpcm.store.versions import versions_of
from lpcm.study.spec import ALL, Study

ROW_SCHEMA = 1
"""Version of the row; a change makes every cell run again."""

_TASK_FLAGS = ("shots", "protocol", "fit_on")
"""Fields of a study that are settings of those tasks that declare them."""

_SHARED_CODE = ("metrics", "solvers", "stats")

_VERSIONS_THAT_MATTER = ("lpcm", "numpy", "scipy", "scikit-learn", "torch")


@dataclass(frozen=True)
class Piece:
    """A resolved thing with the settings that the study changes.

    Args:
        found: the offer and its argument.
        settings: keyword arguments for its loader.
        version: of the distribution that it comes from.
        code: digest of the package that its loader is in, so that a change between two releases counts too.
    """

    found: Found
    settings: Mapping[str, Any]
    version: str
    code: str

    def identity(self, cell: Cell) -> dict[str, Any]:
        """What of it goes into a cell's key: not the settings that the cell's axes spell out, such as shots."""
        return {
            "name": self.found.offer.full_name,
            "argument": self.found.argument,
            "settings": {name: value for name, value in self.settings.items() if name not in cell.axes},
            "version": self.version,
            "code": self.code,
        }


@dataclass(frozen=True)
class PlannedCell:
    """A cell with its address, which is empty when its encoder or dataset is unusable."""

    cell: Cell
    key: str


@dataclass(frozen=True)
class Plan:
    """All that the runner needs.

    Args:
        study: with its defaults filled in.
        cells: in the order of the rows.
        pieces: resolved things by kind and name.
        encoders, datasets: those that could be opened, by name.
        failures: why the others could not.
        notes: choices that were made for the user, one line each.
    """

    study: Study
    cells: tuple[PlannedCell, ...]
    pieces: Mapping[tuple[Kind, str], Piece]
    encoders: Mapping[str, Encoder]
    datasets: Mapping[str, Dataset]
    failures: Mapping[tuple[Kind, str], LpcmError]
    tasks: Mapping[str, Task]
    notes: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """A folder name that the same study always has."""
        parts = [*self.study.task, *self.study.encoder, *self.study.dataset]
        label = "-".join(p.replace(":", "-").replace("/", "-").strip("-.") for p in parts)
        return (
            f"{label[:80]}-{digest_of([c.cell.axes for c in self.cells] + [c.key for c in self.cells])[:8]}"
        )


def is_offline(study: Study) -> bool:
    """Whether the user forbade connections, by flag or environment."""
    return study.offline or any(
        os.environ.get(name, "") not in ("", "0") for name in ("LPCM_OFFLINE", "HF_HUB_OFFLINE")
    )


@dataclass(frozen=True)
class _Opened:
    """Encoders and datasets by name, and the reason for each that cannot be used: the others still run."""

    encoders: dict[str, Encoder]
    datasets: dict[str, Dataset]
    failures: dict[tuple[Kind, str], LpcmError]
    known_digests: dict[tuple[Kind, str], str]

    def serves(self, cell: Cell) -> bool:
        """Whether the cell's encoder and dataset can be used."""
        return not any(
            (kind, cell.axes.get(kind.value)) in self.failures for kind in (Kind.ENCODER, Kind.DATASET)
        )

    def digests(self, cell: Cell) -> dict[str, Any]:
        """Digests of what the cell reads."""
        return {
            kind.value: self.known_digests[kind, cell.axes[kind.value]]
            for kind in (Kind.ENCODER, Kind.DATASET)
            if kind.value in cell.axes
        }


def make_plan(study: Study, host: PluginHost, files: FileDigests, store: Path) -> Plan:
    """Resolve a study.

    Args:
        study: as asked.
        host: the plugins.
        files: remembered digests of files.
        store: the store's folder, for the default of ``data_root``.

    Raises:
        UsageError: for a name, setting or combination that cannot be.
        MissingError: when a needed plugin is not there.
    """
    study, notes = _with_defaults(study, host)
    pieces = _resolve(study, host)
    opened = _open(study, host, pieces, files, store)
    tasks: dict[str, Task] = {}
    for name in study.task:
        piece = pieces[Kind.TASK, name]
        tasks[name] = host.load(piece.found)(**piece.settings)

    cells: list[PlannedCell] = []
    constants = {
        "schema": ROW_SCHEMA,
        "fit_file": _fit_file_digest(study, files),
        "strict": study.strict,
        "code": _shared_code(),
        "versions": versions_of(*_VERSIONS_THAT_MATTER),
    }
    axes = {
        "encoder": study.encoder,
        "dataset": study.dataset,
        "disentangler": study.disentangler,
        "adapter": study.adapter,
        "geometry": study.geometry,
        "marginal": study.marginal,
        "conditional": study.conditional,
        "metric": study.metric,
        "seed": study.seeds,
        "domain": [(name, domain) for name, dataset in opened.datasets.items() for domain in dataset.domains],
    }
    for task_name, task in tasks.items():
        for point in task.cells(axes):
            cell = Cell(axes={"task": task_name, **point})
            if not _adapter_fits(cell, host, pieces, opened.encoders, study):
                continue
            if not opened.serves(cell):
                cells.append(PlannedCell(cell, ""))
                continue
            identity = {**constants, **opened.digests(cell), "axes": dict(cell.axes)}
            for kind in (Kind.TASK, Kind.DISENTANGLER, Kind.ADAPTER, Kind.GEOMETRY, Kind.METRIC):
                if asked := cell.axes.get(kind.value):
                    identity[kind.value] = piece_of(kind, asked, host, pieces, study).identity(cell)
            cells.append(PlannedCell(cell, digest_of(identity)))
    if not cells:
        raise UsageError(
            "the study has no cell to run", "give at least one task, encoder and dataset that fit together"
        )
    return Plan(
        study, tuple(cells), pieces, opened.encoders, opened.datasets, opened.failures, tasks, tuple(notes)
    )


def piece_of(
    kind: Kind, name: str, host: PluginHost, pieces: Mapping[tuple[Kind, str], Piece], study: Study
) -> Piece:
    """The piece of that name; a task may bring in one that the study did not name, such as its reference adapter."""
    return pieces.get((kind, name)) or _piece(kind, name, host, study)


def axes_of(host: PluginHost, task: str) -> tuple[Kind, ...]:
    """The kinds that a task's record says it varies; a simulation has neither encoder nor dataset."""
    record = host.find(Kind.TASK, task).record
    assert isinstance(record, TaskRecord)  # the host finds by kind
    return record.axes


def _with_defaults(study: Study, host: PluginHost) -> tuple[Study, list[str]]:
    notes: list[str] = []
    if not study.task:
        raise UsageError("no task was given", f"type --task NAME; known: {_known(host, Kind.TASK)}")
    uses = {kind for name in study.task for kind in axes_of(host, name)}
    if not study.encoder and Kind.ENCODER in uses:
        raise UsageError("no encoder was given", f"type --encoder NAME; known: {_known(host, Kind.ENCODER)}")
    if not study.dataset and Kind.DATASET in uses:
        stored = [name for name in study.encoder if name.startswith("features:")]
        offered = [offer.record.name for offer in host.offers(Kind.DATASET)]
        names = stored if stored else ["emoji"] if "emoji" in offered else ["digits"]
        study = study.with_names(dataset=names)
        notes.append(f"no dataset was given: taking {', '.join(names)}")
    if study.device == "cpu" and (gpus := _core.gpus()["gpus"]):
        notes.append(f"a GPU is here ({gpus[0]['name']}) and not used: --device cuda uses it")
    for kind in (Kind.DISENTANGLER, Kind.ADAPTER, Kind.METRIC):
        if getattr(study, kind.value) == (ALL,):
            study = study.with_names(**{kind.value: [offer.shortest_name for offer in host.offers(kind)]})
    return study, notes


def _known(host: PluginHost, kind: Kind) -> str:
    return ", ".join(offer.shortest_name for offer in host.offers(kind))


def _resolve(study: Study, host: PluginHost) -> dict[tuple[Kind, str], Piece]:
    pieces = {
        (kind, name): _piece(kind, name, host, study) for kind in Kind for name in getattr(study, kind.value)
    }
    for flag in _TASK_FLAGS:
        takers = [
            p
            for (kind, _), p in pieces.items()
            if kind is Kind.TASK and any(x.name == flag for x in p.found.record.params)
        ]
        if getattr(study, flag) is not None and not takers:
            raise UsageError(
                f"--{flag.replace('_', '-')}: {', '.join(study.task)} has no such setting", "leave it out"
            )
    owners = {name for _, name in pieces} | {piece.found.record.name for piece in pieces.values()}
    for setting, _ in study.set:
        if not any(setting.startswith(f"{owner}.") for owner in owners):
            raise UsageError(
                f"--set {setting}: nothing in this study is called {setting.rpartition('.')[0]!r}",
                nearest(setting.rpartition(".")[0], owners) or f"in this study: {', '.join(sorted(owners))}",
            )
    return pieces


def _piece(kind: Kind, name: str, host: PluginHost, study: Study) -> Piece:
    found = host.find(kind, name)
    record = found.record
    settings = study.settings_of(record.name)
    if kind is Kind.TASK:
        for flag in _TASK_FLAGS:
            if getattr(study, flag) is not None and any(p.name == flag for p in record.params):
                settings.setdefault(flag, getattr(study, flag))
    if (
        kind is Kind.DISENTANGLER
        and study.components is not None
        and any(p.name == "k" for p in record.params)
    ):
        settings.setdefault("k", study.components)
    params = {p.name: p for p in record.params}
    for setting, value in settings.items():
        if setting not in params:
            raise UsageError(
                f"{kind.value} {record.name!r} has no setting {setting!r}",
                nearest(setting, params)
                or (f"it has: {', '.join(sorted(params))}" if params else "it has none"),
            )
        settings[setting] = _typed(params[setting], value, f"--set {record.name}.{setting}")
    state = host.state(f"{found.offer.dist}:{found.offer.plugin}")
    return Piece(found, settings, state.version, _code_digest(record.loader))


def _code_digest(loader: str) -> str:
    """Digest of the source beside the file that a loader names, found without importing it; empty without a file.

    All of its folder counts, not the file alone: what a piece does is seldom in one file.
    """
    top, *parts = loader.partition(":")[0].split(".")
    spec = find_spec(top)  # of a top-level name: imports nothing
    if spec is None:
        return ""
    roots = [Path(root).joinpath(*parts) for root in spec.submodule_search_locations or ()]
    packages = [root if root.is_dir() else root.parent for root in roots]
    found = [package for package in packages if package.is_dir()]
    if found:
        return _source_digest(found[0])
    return file_digest(Path(spec.origin)) if spec.origin and Path(spec.origin).is_file() else ""


@cache
def _source_digest(package: Path) -> str:
    """Digest of the Python files directly in a package's folder."""
    return digest_of([[file.name, file_digest(file)] for file in sorted(package.glob("*.py"))])


def _shared_code() -> dict[str, str]:
    """Digests of the packages of lpcm that tasks, adapters and disentanglers compute with."""
    root = Path(__file__).parents[1]
    return {name: _source_digest(root / name) for name in _SHARED_CODE}


def _typed(param: Param, value: Any, what: str) -> Any:
    if param.choices and value not in param.choices:
        raise UsageError(f"{what} is {value!r}: expected {' or '.join(map(str, param.choices))}")
    if value is None or param.choices or param.type not in (int, float, str, bool):
        return value
    accepted = (int, float) if param.type is float else (param.type,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and param.type is not bool):
        raise UsageError(f"{what} is {value!r}: expected {param.type.__name__}")
    return param.type(value)


def _open(
    study: Study,
    host: PluginHost,
    pieces: Mapping[tuple[Kind, str], Piece],
    files: FileDigests,
    store: Path,
) -> _Opened:
    if study.weights is not None and len(study.encoder) > 1:
        raise UsageError("--weights goes with one encoder", f"given: {', '.join(study.encoder)}")
    offline = is_offline(study)
    encoders: dict[str, Encoder] = {}
    datasets: dict[str, Dataset] = {}
    failures: dict[tuple[Kind, str], LpcmError] = {}
    digests: dict[tuple[Kind, str], str] = {}
    for name in study.encoder:
        found = pieces[Kind.ENCODER, name].found
        encoder_options = EncoderOptions(
            argument=found.argument,
            weights=study.weights,
            device=study.device,
            precision=Precision(study.precision),
            offline=offline,
            files=files,
            host=host,
        )
        try:
            encoder: Encoder = host.load(found)(encoder_options)
            digests[Kind.ENCODER, name] = encoder.digest()  # finds out now whether the weights are there
            encoders[name] = encoder
        except UsageError:
            raise  # what was asked for cannot be, so nothing is run
        except LpcmError as error:
            failures[Kind.ENCODER, name] = error
    for name in study.dataset:
        found = pieces[Kind.DATASET, name].found
        dataset_options = DatasetOptions(
            argument=found.argument,
            root=study.data_root or store / "data",
            offline=offline or not study.allow_download,
            files=files,
        )
        try:
            dataset: Dataset = host.load(found)(dataset_options)
            digests[Kind.DATASET, name] = dataset.digest()
            datasets[name] = dataset
        except UsageError:
            raise
        except LpcmError as error:
            failures[Kind.DATASET, name] = error
    return _Opened(encoders, datasets, failures, digests)


def _adapter_fits(
    cell: Cell,
    host: PluginHost,
    pieces: Mapping[tuple[Kind, str], Piece],
    encoders: Mapping[str, Encoder],
    study: Study,
) -> bool:
    """Whether the encoder reads what the cell's adapter needs; a reference that needs text is left out without it."""
    name = cell.axes.get("adapter")
    encoder = encoders.get(cell.axes.get("encoder", ""))
    if name is None or encoder is None:
        return True
    record = piece_of(Kind.ADAPTER, name, host, pieces, study).found.record
    lacks_text = (
        isinstance(record, AdapterRecord)
        and Modality.TEXT in record.needs
        and Modality.TEXT not in encoder.modalities
    )
    if lacks_text and name in study.adapter:
        raise UsageError(
            f"adapter {name!r} needs an encoder that reads text, and {cell.axes['encoder']!r} does not",
            "leave it out of --adapter, or choose another encoder",
        )
    return not lacks_text


def _fit_file_digest(study: Study, files: FileDigests) -> str:
    if study.fit_on in (None, "train", "shots"):
        return ""
    path = Path(str(study.fit_on)).expanduser()
    if not path.is_file():
        raise UsageError(f"--fit-on is {study.fit_on!r}: expected train, shots or an existing features file")
    return files.digest(path)
