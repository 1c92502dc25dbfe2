"""Asymptotics: the loss tends to the limit of theorem 3.1, and the row says how near it is."""

import pytest

from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.tasks.asymptotics import Asymptotics
from lpcm.testing.simulation import AXES, KitLaboratory


def found(tmp_path, geometry="sphere", axes=None, **settings):
    laboratory = KitLaboratory(Key.of(0), tmp_path, geometry)
    task = Asymptotics(preset="quick", **settings)
    return task.simulate(laboratory, {"geometry": geometry, "seed": 0, **(axes or {})})


@pytest.fixture(scope="module")
def sphere(tmp_path_factory):
    return found(tmp_path_factory.mktemp("sphere"), axes={"conditional": "vmf:10"}, dim=5)


def test_at_the_most_pairs_the_gap_is_within_its_interval(sphere):
    last = sphere.score.details["gaps"][-1]
    assert last["n"] == sphere.n == 1024
    assert last["low"] <= 0 <= last["high"]
    assert abs(last["gap"]) < 0.1 < sphere.score.details["gaps"][0]["gap"]
    assert sphere.score.value == pytest.approx(last["gap"] / abs(sphere.facts["limit"]["nats"]))
    assert not sphere.warnings


def test_the_gap_falls_with_a_power_near_minus_one(sphere):
    # Gaps of 0.6 to 0.1 nats with errors of 0.03: the slope is known to about 0.2.
    assert sphere.score.details["slope"] == pytest.approx(-1, abs=0.35)


def test_the_limit_of_the_sphere_is_exact_and_what_it_is_measured_against_is_in_the_row(sphere):
    assert sphere.facts["limit"]["exact"] is True
    assert sphere.facts["scale"] == 10.0
    assert sphere.score.null["unpaired"] > 1


def test_the_plot_is_an_exhibit(sphere):
    assert sphere.exhibits["gap.svg"].startswith(b"<svg")


def test_a_gap_that_is_still_open_is_said_to_be(tmp_path):
    # Partners this near need far more than 2^6 pairs.
    finding = found(tmp_path, "box", {"conditional": "laplace:0.01"}, dim=4, largest=6)
    assert any("beyond its interval" in said for said in finding.warnings)
    assert finding.facts["limit"]["exact"] is False


@pytest.mark.parametrize("settings", [{"largest": 3}, {"largest": 99}, {"dim": 0}, {"preset": "slow"}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UsageError):
        Asymptotics(**settings)


def test_a_geometry_without_a_scale_of_its_own_is_refused_with_its_reason(tmp_path):
    with pytest.raises(UsageError, match="names none"):
        found(tmp_path, axes={"conditional": "laplace:0.1"}, dim=3)


def test_cells_are_geometries_laws_and_seeds():
    axes = {**AXES, "geometry": ("sphere", "box"), "seed": (0, 1)}
    assert len(list(Asymptotics().cells(axes))) == 4
