"""Identifiability: cells are what was asked, rows carry what is needed to read them, violated rows say so."""

import json
from pathlib import Path

import pytest

from lpcm.cli.main import main
from lpcm.errors import UsageError
from lpcm.geometries.ball import Ball
from lpcm.geometries.box import Box
from lpcm.geometries.sphere import Sphere
from lpcm.geometries.unbounded import Unbounded
from lpcm.keys import Key
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind
from lpcm.store.files import FileDigests
from lpcm.study.cell import maker_of
from lpcm.study.plan import make_plan
from lpcm.study.spec import Study
from lpcm.study.suite import packaged, parts_of
from lpcm.tasks.identifiability import Identifiability
from lpcm.testing.simulation import AXES, KitLaboratory
from lpcm.theory.published import is_normal, promise, reported, theorem_metric

SMALL = {"preset": "quick", "dim": 3, "m": 1, "steps": 24, "batch": 64}


def found(tmp_path: Path, geometry: str = "sphere", axes=None, **settings):
    laboratory = KitLaboratory(Key.of(0), tmp_path, geometry)
    task = Identifiability(**{**SMALL, **settings})
    return task.simulate(laboratory, {"geometry": geometry, "seed": 0, **(axes or {})})


def cells(axes=None, **settings):
    return list(Identifiability(**settings).cells({**AXES, "seed": (0, 1), **(axes or {})}))


def test_axes_that_are_not_named_are_no_columns():
    assert cells() == [{"geometry": "sphere", "seed": 0}, {"geometry": "sphere", "seed": 1}]


def test_named_laws_and_settings_with_several_values_are_columns():
    asked = {"geometry": ("sphere", "box"), "conditional": ("vmf:1",), "metric": ("r2", "mcc")}
    made = cells(asked, codes=[5, 10], temperature="learned,1", misaligned=0.5)
    assert len(made) == 2 * 1 * 2 * 2 * 2 * 2
    assert set(made[0]) == {"geometry", "conditional", "metric", "codes", "temperature", "seed"}


@pytest.mark.parametrize(
    "settings",
    [
        {"codes": -1},
        {"codes": 2.5},
        {"codes": []},
        {"misaligned": "many"},
        {"dependence": -0.1},
        {"dim": 0},
        {"batch": 1},
        {"preset": "slow"},
        {"head": "tail"},
    ],
)
def test_impossible_settings_are_refused_before_anything_runs(settings):
    with pytest.raises(UsageError):
        Identifiability(**settings)


def test_a_row_carries_floors_a_ceiling_both_sides_each_latent_and_what_leaks(tmp_path):
    finding = found(tmp_path)
    score = finding.score
    assert score.metric == "r2"  # what theorem 4.1 speaks of
    assert set(score.null) == {"permutation", "rotation", "identity"}
    assert set(score.ceiling) == {"supervised"}
    sides = [score.details[side] for side in ("image", "text")]
    assert score.value == pytest.approx(sum(side["value"] for side in sides) / 2)
    assert all(set(side["per_latent"]) == {"z1", "z2", "z3"} for side in sides)
    assert set(score.details["own_latents_from_codes"]) == {"image", "text"}
    assert set(score.details["other"]) == {"mcc"}
    assert finding.facts["scale"]["theory"] == 1.0
    assert finding.facts["curve"][-1]["step"] == 24
    assert score.draws.mean() == pytest.approx(score.value, abs=1e-9)


def test_a_rotation_floor_of_r2_is_the_value_itself(tmp_path):
    score = found(tmp_path).score
    assert score.null["rotation"] == pytest.approx(score.value, abs=1e-3)  # folds differ by rounding alone


def test_the_theorem_chooses_the_metric_unless_the_study_does(tmp_path):
    assert found(tmp_path / "a", "box").score.metric == "mcc"
    assert found(tmp_path / "b", "box", {"metric": "r2"}).score.metric == "r2"


def test_the_papers_range_stands_beside_its_rows_and_no_others(tmp_path):
    assert found(tmp_path / "a").score.details["paper"]["low"] == 0.994
    assert "paper" not in found(tmp_path / "b", codes=4).score.details


def test_a_normal_latent_is_said_not_to_be_identified(tmp_path):
    said = " ".join(found(tmp_path, "unbounded").warnings)
    assert "no theorem covers this row" in said
    assert "normal latent is not identified" in said


def test_a_normal_latent_with_partners_of_another_law_is_not_said_to_be_lost():
    assert is_normal(Unbounded(3))
    assert not is_normal(Unbounded(3, conditional="laplace:0.3"))
    assert not is_normal(Sphere(3))


def test_a_violated_sphere_says_that_no_theorem_covers_it_and_a_matched_one_does_not(tmp_path):
    violated = found(tmp_path / "a", axes={"conditional": "laplace:0.1"})
    assert any("no theorem" in said for said in violated.warnings)
    assert violated.facts["promise"] == "no theorem covers this row"
    assert not any("no theorem" in said for said in found(tmp_path / "b").warnings)


@pytest.mark.parametrize("codes", [1, 2, 5])
def test_codes_may_be_fewer_or_more_than_latents(tmp_path, codes):
    if codes == 1:
        with pytest.raises(UsageError, match="sphere"):  # there is no sphere in one dimension
            found(tmp_path, codes=codes)
        return
    finding = found(tmp_path, codes=codes, baselines=False)
    assert finding.facts["codes"] == codes
    assert any("leaves the assumptions" in said for said in finding.warnings)


def test_without_baselines_there_is_no_ceiling(tmp_path):
    assert found(tmp_path, baselines=False).score.ceiling == {}


def test_without_latents_of_one_side_nothing_leaks(tmp_path):
    assert "own_latents_from_codes" not in found(tmp_path, m=0).score.details


@pytest.mark.parametrize(
    ("space", "metric", "known"),
    [
        (Sphere(3), "r2", 0.994),
        (Sphere(3, conditional="normal:0.1"), "r2", 0.885),
        (Box(3), "mcc", 0.990),
        (Box(3, conditional="normal:0.1"), "mcc", 0.956),
        (Box(3, conditional="gennorm:0.1:3"), "mcc", 0.956),
        (Unbounded(3), "mcc", 0.956),
        (Unbounded(3), "r2", 0.885),
        (Box(3), "r2", None),
        (Ball(3), "mcc", None),
    ],
)
def test_the_paper_is_quoted_for_its_own_rows_only(space, metric, known):
    quoted = reported(space, metric)
    assert (quoted and quoted.low) == known


def test_every_promise_names_the_score_that_it_is_about():
    for space, metric in ((Sphere(3), "R^2"), (Box(3), "MCC"), (Box(3, conditional="normal:1"), "R^2")):
        assert metric in promise(space)
    assert theorem_metric(Box(3)) == "mcc"
    assert theorem_metric(Unbounded(3)) == "r2"


LONGER = {"dim": 3, "m": 0, "steps": 300, "batch": 256, "baselines": False}


def test_a_squared_distance_alone_finds_latents_but_not_their_axes(tmp_path):
    finding = found(tmp_path, "box", {"conditional": "normal:0.1"}, head="free", **LONGER)
    assert finding.score.metric == "r2"
    # Seconds of training; random rotations of perfect codes of three latents have an MCC of about 0.8.
    assert finding.score.value > 0.9
    assert finding.score.details["other"]["mcc"] < 0.9


def test_an_absolute_distance_alone_finds_the_axes_too(tmp_path):
    finding = found(tmp_path, "box", {"conditional": "laplace:0.1"}, head="free", **LONGER)
    assert finding.score.metric == "mcc"
    assert finding.score.value > 0.95  # as above, where rotations end at 0.8


@pytest.mark.parametrize("name", ["beyond-dags-table1", "identifiability-questions", "identifiability-quick"])
def test_every_part_of_the_packaged_studies_can_be_planned_and_its_spaces_exist(name, tmp_path):
    host = PluginHost.discover()
    for part in parts_of(Study.load(packaged()[name]), {}, name):
        with FileDigests(tmp_path / "files.sqlite") as files:
            plan = make_plan(part.study, host, files, tmp_path)
        for planned in plan.cells:
            axes = planned.cell.axes
            laws = {what: axes[what] for what in ("marginal", "conditional") if what in axes}
            space = maker_of(plan, host, Kind.GEOMETRY, axes["geometry"])
            space.attribute(10, **space.merged(laws))


def test_violated_parts_of_the_papers_table_are_violated_and_matched_ones_are_not(tmp_path):
    host = PluginHost.discover()
    for part in parts_of(Study.load(packaged()["beyond-dags-table1"]), {}, "table"):
        with FileDigests(tmp_path / "files.sqlite") as files:
            plan = make_plan(part.study, host, files, tmp_path)
        for planned in plan.cells:
            axes = planned.cell.axes
            laws = {what: axes[what] for what in ("marginal", "conditional") if what in axes}
            maker = maker_of(plan, host, Kind.GEOMETRY, axes["geometry"])
            space = maker.attribute(10, **maker.merged(laws))
            covered = part.name in ("sphere-matched", "box-matched", "box-generalised-normal")
            assert (space.identifies != "nothing") is covered, (part.name, laws)
            assert reported(space, axes["metric"]) is not None


@pytest.mark.parametrize(("name", "rows"), [("beyond-dags-table1", 16), ("identifiability-questions", 19)])
def test_packaged_studies_run_to_their_end_when_cut_short(name, rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = ("preset=quick", "dim=3", "steps=30")
    settings = [part for setting in short for part in ("--set", f"identifiability.{setting}")]
    code = main(["run", name, "--seeds", "1", "--store", str(tmp_path / "store"), "--quiet", *settings])
    shown = capsys.readouterr().out
    assert code == 0, shown
    found = [
        json.loads(line) for file in tmp_path.rglob("rows.jsonl") for line in file.read_text().splitlines()
    ]
    assert len([row for row in found if row["level"] == "cell" and row["status"] == "done"]) == rows
