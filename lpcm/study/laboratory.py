"""One cell of a simulation from its axes to its row: no encoder, no dataset, no test labels to be kept sealed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.plugin.contracts import Cell, Geometry, Metric, Simulation
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind
from lpcm.plugin.truth import Finding
from lpcm.study.bench import Maker, there
from lpcm.study.cell import CellResult, checked_exhibits, interval_of, maker_of, tensors_of
from lpcm.study.plan import Plan
from lpcm.study.rows import done_row


class CellLaboratory:
    """The laboratory of one cell; see :class:`lpcm.plugin.contracts.Laboratory`."""

    def __init__(
        self,
        key: Key,
        workspace: Path,
        geometry: Maker | None,
        metric: Callable[[str], Maker],
        progress: Callable[[int, int, str], None],
    ) -> None:
        self.key = key
        self.workspace = workspace
        self.progress = progress
        self._geometry = geometry
        self._metric = metric

    def geometry(self, dim: int, **settings: Any) -> Geometry:
        """The cell's latent space."""
        maker = there(self._geometry, "geometry")
        made: Geometry = maker.attribute(dim, **maker.merged(settings))
        return made

    def metric(self, name: str, **settings: Any) -> Metric:
        """A metric by its name."""
        maker = self._metric(name)
        made: Metric = maker.attribute(**maker.merged(settings))
        return made


def run_simulation(
    plan: Plan,
    cell: Cell,
    host: PluginHost,
    workspace: Path,
    progress: Callable[[str, int, int, str], None],
) -> CellResult:
    """Compute a cell.

    Args:
        plan: what the cell is part of.
        cell: its axes.
        host: resolves loaders.
        workspace: folder for checkpoints; it is made here.
        progress: told how far it is.
    """
    axes = cell.axes
    task: Simulation = plan.tasks[axes["task"]]  # type: ignore[assignment]  # its record has no encoder axis
    workspace.mkdir(parents=True, exist_ok=True)
    title = " ".join(str(value) for value in axes.values())
    geometry = maker_of(plan, host, Kind.GEOMETRY, axes["geometry"]) if "geometry" in axes else None
    laboratory = CellLaboratory(
        Key.of(axes.get("seed", 0)).fold("simulation"),
        workspace,
        geometry,
        lambda name: maker_of(plan, host, Kind.METRIC, name),
        lambda done, total, said: progress(title, done, total, said),
    )
    seconds = _Clock(workspace)
    with seconds:
        finding: Finding = task.simulate(laboratory, axes)
    if not np.isfinite(finding.score.value):
        raise DataError(f"the score is {finding.score.value}")
    row = done_row(
        cell,
        score=finding.score,
        interval=interval_of(finding.score, laboratory.key),
        n=finding.n,
        selection=finding.selection,
        oracle=False,
        facts=finding.facts,
        warnings=finding.warnings,
        digests={},
        cost={"seconds": seconds.total},
    )
    return CellResult(row, tensors_of(finding.score, None), checked_exhibits(finding.exhibits))


class _Clock:
    """Seconds spent on a cell, those before an interruption included."""

    def __init__(self, workspace: Path) -> None:
        self._file = workspace / "seconds.json"
        self.total = 0.0

    def __enter__(self) -> None:
        try:
            self._before = float(json.loads(self._file.read_text()))
        except (OSError, ValueError):  # the first start, or a file cut short by the interruption
            self._before = 0.0
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.total = self._before + time.perf_counter() - self._start
        self._file.write_text(json.dumps(self.total))
