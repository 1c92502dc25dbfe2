"""The station: computes cells of one plan, one after the other; what a group of cells shares is read once.

A cell that fails is a row with its error. Refuses to choose which cell is next: that is the runner's.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lpcm.plugin.contracts import Encoder, Sample
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind
from lpcm.store.results import ResultStore, StoredRow
from lpcm.study.plan import Plan, PlannedCell
from lpcm.study.progress import Reporter
from lpcm.study.rows import failed_row

if TYPE_CHECKING:
    from lpcm.store.features import Extracted, FeatureStore
    from lpcm.study.features import Features

AnyRow: TypeAlias = StoredRow | dict[str, Any]
"""A row that is stored, or one that failed."""


def group_of(planned: PlannedCell) -> tuple[str, str]:
    """Encoder and dataset of a cell, empty for a simulation: cells of one group share feature blocks."""
    axes = planned.cell.axes
    return axes.get("encoder", ""), axes.get("dataset", "")


@dataclass(frozen=True)
class Made:
    """What became of a cell.

    Args:
        row: its row.
        own: whether that is of this cell alone; a failure that it shares with its group is not told for each.
    """

    row: AnyRow
    own: bool


class Station:
    """Computes cells against one store.

    Args:
        plan: what the cells are part of.
        host: the plugins.
        store: folder of features and results.
        features: where blocks of features are kept; ``None`` where no cell has an encoder.
        reporter: told of progress.
    """

    def __init__(
        self, plan: Plan, host: PluginHost, store: Path, features: FeatureStore | None, reporter: Reporter
    ) -> None:
        self._plan = plan
        self._host = host
        self._store = store
        self._kept = features
        self._reporter = reporter
        self._results = ResultStore(store / "results")
        self._group: tuple[str, str] | None = None
        self._features: Features | Exception | None = None

    def make(self, planned: PlannedCell) -> Made:
        """The row of one cell; whatever goes wrong in it becomes its row."""
        if self._group != (group := group_of(planned)):
            self._features = None  # what may be gigabytes goes before the next comes
            self._group, self._features = group, self._read(*group) if group[0] else None
        return Made(self._row(planned, self._features), own=not isinstance(self._features, Exception))

    def _read(self, encoder: str, dataset: str) -> Features | Exception:
        """The blocks that a group of cells shares, read or computed now; or why they could not be."""
        plan, store = self._plan, self._kept
        for each in ((Kind.ENCODER, encoder), (Kind.DATASET, dataset)):
            if each in plan.failures:
                return plan.failures[each]
        from lpcm.study.features import Features

        assert store is not None  # the plan has an encoder

        def extract(which: Encoder, samples: Sequence[Sample], split: str) -> Extracted:
            with _noted(self._reporter):
                extracted = store.images(
                    which,
                    samples,
                    batch=plan.study.batch,
                    workers=plan.study.workers,
                    strict=plan.study.strict,
                    progress=lambda p: self._reporter.extraction(
                        f"{encoder} on {dataset}, {split}", p.done, p.total
                    ),
                )
            if extracted.failed:
                names = ", ".join(name for name, _ in extracted.failed[:3])
                self._reporter.note(
                    f"{len(extracted.failed)} of {len(samples)} images of {dataset} {split} are unreadable, left out: "
                    f"{names}{' ...' if len(extracted.failed) > 3 else ''}"
                )
            return extracted

        features = Features(plan.encoders[encoder], plan.datasets[dataset], store, extract)
        try:
            # Before any cell's clock starts, and once for all of them even when it fails.
            features.read_test()
        except Exception as error:  # a plugin may raise anything; the other groups go on
            return error
        return features

    def _row(self, planned: PlannedCell, features: Features | Exception | None) -> AnyRow:
        if isinstance(features, Exception):
            return failed_row(planned.cell, planned.key, features)
        try:
            if features is None:
                return self._simulated(planned)
            from lpcm.study.cell import run_cell

            result = run_cell(self._plan, planned.cell, self._host, features)
            return self._results.put(planned.key, result.row, result.tensors, result.exhibits)
        except Exception as error:  # a plugin may raise anything, a disk may be full; the study goes on
            return failed_row(planned.cell, planned.key, error)

    def _simulated(self, planned: PlannedCell) -> StoredRow:
        """The row of a cell without encoder and dataset; its checkpoints go when the row is stored."""
        from lpcm.study.laboratory import run_simulation

        workspace = self._store / "unfinished" / planned.key
        result = run_simulation(self._plan, planned.cell, self._host, workspace, self._reporter.step)
        row = self._results.put(planned.key, result.row, result.tensors, result.exhibits)
        shutil.rmtree(workspace, ignore_errors=True)
        return row


@contextmanager
def _noted(reporter: Reporter) -> Iterator[None]:
    """Hand warnings of lpcm itself to the reporter instead of letting them break into a progress bar."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if warning.category.__module__.startswith("lpcm"):
            reporter.note(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
