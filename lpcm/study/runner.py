"""The runner: carries out a plan cell by cell, keeps what is done, and goes on where it was stopped.

A cell that fails is a row with its error; the others go on. Refuses to touch test labels before the seal opens.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lpcm.errors import EXIT_CELLS_FAILED, EXIT_DONE, EXIT_MISSING, MissingError
from lpcm.plugin.contracts import Encoder, Sample
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind, RunRecord
from lpcm.store.files import FileDigests
from lpcm.store.results import ResultStore, StoredRow
from lpcm.study.plan import Plan, PlannedCell, make_plan
from lpcm.study.progress import Reporter
from lpcm.study.rows import failed_row
from lpcm.study.run_folder import RunFolder
from lpcm.study.spec import Study

if TYPE_CHECKING:
    from lpcm.store.features import Extracted, FeatureStore
    from lpcm.study.features import Features


@dataclass(frozen=True)
class Run:
    """A study carried out.

    Args:
        folder: where its files are.
        rows: one a cell, in the order of the study.
        summary: one a group of seeds.
        exit_code: 0 done, 1 some cells failed, 3 some needed something that is missing.
    """

    folder: Path
    rows: tuple[dict[str, Any], ...]
    summary: tuple[dict[str, Any], ...]
    exit_code: int


class Runner:
    """Runs studies against one store.

    Args:
        host: the plugins.
        store: folder of features and results.
        reporter: told of progress.
    """

    def __init__(self, host: PluginHost, store: Path, reporter: Reporter | None = None) -> None:
        self._host = host
        self._store = store
        self._reporter = reporter or Reporter()
        self._results = ResultStore(store / "results")

    def run(self, study: Study, folder: Path | None = None, runs: Path = Path("runs")) -> Run:
        """Carry out a study; doing it again continues it.

        Args:
            study: as asked.
            folder: where the run's files go; by default a folder in ``runs`` that the same study always gets.
            runs: parent of the default folder.

        Raises:
            UsageError, MissingError: when the study cannot be planned.
        """
        with FileDigests(self._store / "files.sqlite") as files:
            plan = make_plan(study, self._host, files, self._store)
            for note in plan.notes:
                self._reporter.note(note)
            target = RunFolder(folder or runs / plan.name, plan.study)
            rows = self._rows(plan, files, target)
        pooled = {name: task.pooled for name, task in plan.tasks.items() if hasattr(task, "pooled")}
        finished = target.finish(rows, pooled)
        failures = [row["error"]["type"] for row in finished.rows if row["status"] == "failed"]
        code = (
            EXIT_MISSING
            if MissingError.__name__ in failures
            else EXIT_CELLS_FAILED
            if failures
            else EXIT_DONE
        )
        for complaint in self._host.run_finished(
            RunRecord(folder=str(target.path), rows=finished.rows, exit_code=code)
        ):
            self._reporter.note(complaint)
        return Run(target.path, finished.rows, finished.summary, code)

    def _rows(self, plan: Plan, files: FileDigests, target: RunFolder) -> list[StoredRow | dict[str, Any]]:
        """The row of every cell, in the order of the plan: stored ones as they are, the others computed now."""
        stored = {planned.key: self._results.get(planned.key) for planned in plan.cells if planned.key}
        found: list[StoredRow | dict[str, Any] | None] = [stored.get(planned.key) for planned in plan.cells]
        self._reporter.plan(len(found), sum(row is not None for row in found))
        groups: dict[tuple[str, str], list[int]] = {}
        for place, planned in enumerate(plan.cells):
            if found[place] is None:
                axes = planned.cell.axes
                groups.setdefault((axes.get("encoder", ""), axes.get("dataset", "")), []).append(place)
        for (encoder, dataset), places in groups.items():
            features = self._features(plan, files, encoder, dataset) if encoder else None
            for place in places:
                found[place] = self._row(plan, plan.cells[place], features)
                if not isinstance(features, Exception):  # or the same failure would be told for each cell
                    self._report(found[place])
            # What is done can be looked at while the rest is running.
            target.save_rows([row for row in found if row is not None])
        return [row for row in found if row is not None]

    def _features(self, plan: Plan, files: FileDigests, encoder: str, dataset: str) -> Features | Exception:
        """The blocks that a group of cells shares, read or computed now; or why they could not be."""
        for each in ((Kind.ENCODER, encoder), (Kind.DATASET, dataset)):
            if each in plan.failures:
                return plan.failures[each]
        from lpcm.store.features import FeatureStore
        from lpcm.study.features import Features

        store: FeatureStore = FeatureStore(self._store, files)

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

    def _row(
        self, plan: Plan, planned: PlannedCell, features: Features | Exception | None
    ) -> StoredRow | dict[str, Any]:
        """The row of one cell; whatever goes wrong in it becomes its row."""
        if isinstance(features, Exception):
            return failed_row(planned.cell, planned.key, features)
        try:
            if features is None:
                return self._simulated(plan, planned)
            from lpcm.study.cell import run_cell

            result = run_cell(plan, planned.cell, self._host, features)
            return self._results.put(planned.key, result.row, result.tensors, result.exhibits)
        except Exception as error:  # a plugin may raise anything, a disk may be full; the study goes on
            return failed_row(planned.cell, planned.key, error)

    def _simulated(self, plan: Plan, planned: PlannedCell) -> StoredRow:
        """The row of a cell without encoder and dataset; its checkpoints go when the row is stored."""
        from lpcm.study.laboratory import run_simulation

        workspace = self._store / "unfinished" / planned.key
        result = run_simulation(plan, planned.cell, self._host, workspace, self._reporter.step)
        row = self._results.put(planned.key, result.row, result.tensors, result.exhibits)
        shutil.rmtree(workspace, ignore_errors=True)
        return row

    def _report(self, row: StoredRow | dict[str, Any] | None) -> None:
        if row is not None:
            self._reporter.cell(row.row if isinstance(row, StoredRow) else row)


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
