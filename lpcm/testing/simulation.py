"""What a simulation promises: a task that makes its own data. Refuses to judge what it finds.

Source: the contract ``lpcm.plugin.contracts.Simulation``. It is run with the preset ``quick`` where its record has a
setting ``preset`` with that choice, in a workspace that is empty at the start.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lpcm.keys import Key
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind, TaskRecord
from lpcm.plugin.truth import Finding
from lpcm.testing.common import WITH_SETTINGS, expect_json, expect_text, watched
from lpcm.testing.subject import CheckFunction, Subject, expect

QUICK = "quick"

AXES: dict[str, tuple[Any, ...]] = {
    "encoder": (),
    "dataset": (),
    "disentangler": (),
    "adapter": (),
    "geometry": ("sphere",),
    "marginal": (),
    "conditional": (),
    "metric": (),
    "seed": (0, 3),
    "domain": (),
}
"""What a small study asks of a simulation."""


def is_simulation(record: TaskRecord) -> bool:
    """Whether a task makes its own data: it varies neither encoder nor dataset."""
    return not {Kind.ENCODER, Kind.DATASET} & set(record.axes)


class KitLaboratory:
    """A laboratory with the installed geometries and metrics, and a workspace of its own.

    Args:
        key: the root of the randomness.
        workspace: an empty folder.
        geometry: name of the cell's geometry.
    """

    def __init__(self, key: Key, workspace: Path, geometry: str) -> None:
        self.key = key
        self.workspace = workspace
        self.told: list[tuple[int, int, str]] = []
        self._geometry = geometry
        self._host = PluginHost.discover()

    def geometry(self, dim: int, **settings: Any) -> Any:
        """The cell's geometry."""
        return self._host.load(self._host.find(Kind.GEOMETRY, self._geometry))(dim, **settings)

    def metric(self, name: str, **settings: Any) -> Any:
        """A metric by its name."""
        return self._host.load(self._host.find(Kind.METRIC, name))(**settings)

    def progress(self, done: int, total: int, said: str) -> None:
        """Keep what was told."""
        self.told.append((done, total, said))


def build(subject: Subject) -> Any:
    """A new simulation with the cheapest settings that its record announces."""
    presets = [param for param in subject.record.params if param.name == "preset"]
    quick = any(QUICK in param.choices for param in presets)
    return subject.load()(preset=QUICK) if quick else subject.load()()


def _cells(subject: Subject) -> list[Mapping[str, Any]]:
    return subject.once("cells", lambda: list(build(subject).cells(AXES)))


def simulate(subject: Subject, axes: Mapping[str, Any]) -> tuple[Finding, KitLaboratory]:
    """Run a cell in an empty workspace."""
    key = Key.of(int(axes.get("seed", 0))).fold("simulation")
    with tempfile.TemporaryDirectory() as folder:
        laboratory = KitLaboratory(key, Path(folder), str(axes.get("geometry", AXES["geometry"][0])))
        return build(subject).simulate(laboratory, axes), laboratory


def _finding(subject: Subject) -> Finding:
    return _first(subject)[0]


def _first(subject: Subject) -> tuple[Finding, KitLaboratory]:
    expect(_cells(subject), "cells() gave no cell for a study of two seeds")
    return subject.once("first", lambda: simulate(subject, _cells(subject)[0]))


def _again(subject: Subject) -> Finding:
    found, _ = simulate(subject, _cells(subject)[0])
    return subject.once("again", lambda: found)


def cells_are_points_of_the_study(subject: Subject) -> None:
    """Each cell names its seed and is JSON; none is there twice; they are the same each time."""
    cells = _cells(subject)
    expect(cells, "cells() gave no cell for a study of two seeds")
    seen = set()
    for cell in cells:
        expect_json(cell, "a cell")
        expect(cell.get("seed") in AXES["seed"], f"a cell has seed {cell.get('seed')!r}: asked were 0 and 3")
        for axis in ("encoder", "dataset"):
            expect(axis not in cell, f"a cell has an axis {axis!r}, which its record does not announce")
        text = json.dumps(dict(cell), sort_keys=True)
        expect(text not in seen, f"a cell is there twice: {text}")
        seen.add(text)
    expect(list(build(subject).cells(AXES)) == cells, "cells() gives other cells the second time")


def finding_goes_into_a_row(subject: Subject) -> None:
    """Facts and details are JSON values; selection and warnings are texts; n counts; exhibits are bytes."""
    finding = _finding(subject)
    expect_json(finding.facts, "facts")
    expect_json(finding.score.details, "details")
    expect_text(finding.selection, "selection")
    expect_text(finding.score.metric, "metric")
    expect(
        isinstance(finding.n, int) and finding.n > 0, f"n is {finding.n!r}: expected what it was measured on"
    )
    expect(not isinstance(finding.warnings, str), "warnings is one text: expected a sequence of texts")
    for warning in finding.warnings:
        expect_text(warning, "a warning")
    for name, content in finding.exhibits.items():
        expect(
            isinstance(content, bytes) and content,
            f"exhibit {name!r} is {type(content).__name__}: expected bytes",
        )


def value_is_finite_with_its_spread(subject: Subject) -> None:
    """The value is a number; outcomes, where given, have it as their mean; draws, where given, are several."""
    import numpy as np

    score = _finding(subject).score
    expect(math.isfinite(score.value), f"value is {score.value}")
    if score.outcomes is not None:
        outcomes = np.asarray(score.outcomes)
        expect(np.isfinite(outcomes).all(), "outcomes are not finite")
        off = abs(float(outcomes.mean()) - float(score.value))
        expect(off < 1e-9, f"value is {score.value}, the mean of outcomes {outcomes.mean()}")  # fp64 sums
    if score.draws is not None:
        draws = np.asarray(score.draws)
        expect(draws.ndim == 1 and len(draws) > 1, f"draws have shape {draws.shape}: expected (b,)")
        expect(np.isfinite(draws).all(), "draws are not finite")


def null_is_declared(subject: Subject) -> None:
    """A score comes with what chance gives for it."""
    null = _finding(subject).score.null
    expect(null, "null is empty: say what chance gives")
    for name, value in null.items():
        expect(math.isfinite(value), f"null {name!r} is {value}")


def same_key_same_finding(subject: Subject) -> None:
    """The same cell run again, in an empty workspace, finds the same to the bit."""
    one = _finding(subject)
    again = subject.once("again", lambda: simulate(subject, _cells(subject)[0])[0])
    expect(
        one.score.value == again.score.value,
        f"the same key gives {one.score.value}, then {again.score.value}: draw from laboratory.key",
    )
    expect(dict(one.facts) == dict(again.facts), "the same key gives other facts the second time")
    expect(dict(one.exhibits) == dict(again.exhibits), "the same key gives other exhibits the second time")


def another_seed_is_another_draw(subject: Subject) -> None:
    """A cell of another seed does not find the same to the bit."""
    cells = _cells(subject)
    other = [cell for cell in cells if cell.get("seed") != cells[0].get("seed")]
    expect(other, "cells() gave one seed only for a study of two")
    found, _ = simulate(subject, other[0])
    expect(
        found.score.value != _finding(subject).score.value,
        "two seeds give the same value to the bit: fold randomness from laboratory.key",
    )


def progress_ends_where_it_says(subject: Subject) -> None:
    """What it tells while it works never runs backwards or past its end."""
    _, laboratory = _first(subject)
    done = [step for step, _, _ in laboratory.told]
    expect(done == sorted(done), f"progress runs backwards: {done}")
    for step, total, said in laboratory.told:
        expect(0 <= step <= total, f"progress says {step} of {total}")
        expect_text(said, "what progress says")


CHECKS: tuple[CheckFunction, ...] = (
    *WITH_SETTINGS,
    cells_are_points_of_the_study,
    finding_goes_into_a_row,
    value_is_finite_with_its_spread,
    null_is_declared,
    *watched(_again),
    same_key_same_finding,
    another_seed_is_another_draw,
    progress_ends_where_it_says,
)
