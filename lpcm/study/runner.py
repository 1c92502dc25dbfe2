"""The runner: carries out a plan, keeps what is done, and goes on where it was stopped.

Rows are in the order of the study, whichever process made them. Refuses to compute a cell: that is the station's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lpcm.errors import EXIT_CELLS_FAILED, EXIT_DONE, EXIT_MISSING, MissingError
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import RunRecord
from lpcm.store.files import FileDigests
from lpcm.store.results import ResultStore, StoredRow
from lpcm.study.crew import Jobs
from lpcm.study.plan import Plan, PlannedCell, make_plan
from lpcm.study.progress import Reporter
from lpcm.study.run_folder import RunFolder
from lpcm.study.spec import Study
from lpcm.study.station import AnyRow, Made, Station, group_of

Place: TypeAlias = tuple[int, PlannedCell]
"""A cell with its place in the plan."""


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
        jobs: processes that compute; by default this one alone.
    """

    def __init__(
        self, host: PluginHost, store: Path, reporter: Reporter | None = None, jobs: Jobs | None = None
    ) -> None:
        self._host = host
        self._jobs = jobs or Jobs()
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
            found = self._known(plan)
            # Stable: cells that share an encoder and a dataset come one after the other, in the order of the plan.
            groups = dict.fromkeys(group_of(planned) for planned in plan.cells)
            order = {group: place for place, group in enumerate(groups)}
            cells = sorted(
                ((place, planned) for place, planned in enumerate(plan.cells) if found[place] is None),
                key=lambda each: order[group_of(each[1])],
            )
            self._reporter.plan(len(found), len(found) - len(cells))
            together = min(self._jobs.count, len(cells)) > 1
            if not together:
                self._collect(self._alone(plan, files, cells), found, cells, target)
        if together:  # digests that were learnt are written by now
            self._collect(self._together(study, cells), found, cells, target)
        rows = [row for row in found if row is not None]
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

    def _known(self, plan: Plan) -> list[AnyRow | None]:
        """The rows that are in the store already, in the order of the plan."""
        return [self._results.get(planned.key) if planned.key else None for planned in plan.cells]

    def _alone(self, plan: Plan, files: FileDigests, cells: Sequence[Place]) -> Generator[tuple[int, Made]]:
        """Compute cells in this process."""
        features = None
        if plan.encoders:
            from lpcm.store.features import FeatureStore

            features = FeatureStore(self._store, files)
        station = Station(plan, self._host, self._store, features, self._reporter)
        for place, planned in cells:
            yield place, station.make(planned)

    def _together(self, study: Study, cells: Sequence[Place]) -> Generator[tuple[int, Made]]:
        """Compute cells in several processes."""
        from lpcm.study.crew import Crew

        with Crew(self._jobs, study, self._store, self._reporter) as crew:
            yield from crew.make(cells)

    def _collect(
        self,
        made: Generator[tuple[int, Made]],
        found: list[AnyRow | None],
        cells: Sequence[Place],
        target: RunFolder,
    ) -> None:
        """Put rows in their places as they come."""
        left = Counter(group_of(planned) for _, planned in cells)
        groups = {place: group_of(planned) for place, planned in cells}
        with closing(made):  # Ctrl-C ends the workers now, not when somebody collects garbage
            for place, one in made:
                found[place] = one.row
                if one.own:  # or the same failure would be told for each cell
                    self._reporter.cell(one.row.row if isinstance(one.row, StoredRow) else one.row)
                left[groups[place]] -= 1
                if not left[groups[place]]:
                    # What is done can be looked at while the rest is running.
                    target.save_rows([row for row in found if row is not None])
