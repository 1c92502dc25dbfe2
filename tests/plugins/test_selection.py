"""Which plugins are loaded: the variable and the flag act before anything is imported; one-file plugins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lpcm.errors import UsageError
from lpcm.plugin.host import PluginHost
from lpcm.plugin.loader import Status
from lpcm.plugin.records import Kind

from .conftest import Shelf

Metric = Callable[[str], str]


def names(host: PluginHost, kind: Kind = Kind.METRIC) -> set[str]:
    return {offer.shortest_name for offer in host.offers(kind)}


# --- selection, before anything is imported (rule 7) -----------------------------------------------


@pytest.fixture
def marker(shelf: Shelf, metric: Metric, tmp_path: Path) -> Path:
    """A file that exists once the plugin ``marked`` of distribution ``marked-dist`` was imported."""
    path = tmp_path / "imported"
    shelf.add("marked-dist", f"open({str(path)!r}, 'w').close()\n{metric('marked')}", plugin="marked")
    return path


def test_without_selection_the_plugin_is_imported(shelf: Shelf, marker: Path) -> None:
    assert shelf.discover().state("marked").status is Status.OK
    assert marker.exists()


@pytest.mark.parametrize("name", ["marked", "marked-dist"])
def test_a_plugin_that_is_left_out_is_not_even_imported(name: str, shelf: Shelf, marker: Path) -> None:
    state = shelf.discover(without=[name]).state("marked")
    assert state.status is Status.BLOCKED
    assert "--no-plugin" in state.reason
    assert not marker.exists()


@pytest.mark.parametrize("value", ["", "other", " other , another "])
def test_the_variable_blocks_what_it_does_not_name(
    value: str, shelf: Shelf, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LPCM_PLUGINS", value)
    host = shelf.discover()
    assert host.state("marked").status is Status.BLOCKED
    assert not marker.exists()
    assert host.state("core").status is Status.OK  # the built-ins are always there


@pytest.mark.parametrize("value", ["marked", "marked-dist", "other, marked"])
def test_the_variable_lets_through_what_it_names(
    value: str, shelf: Shelf, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LPCM_PLUGINS", value)
    assert shelf.discover().state("marked").status is Status.OK
    assert marker.exists()


def test_leaving_out_what_is_not_there_is_an_error(shelf: Shelf, marker: Path) -> None:
    with pytest.raises(UsageError) as caught:
        shelf.discover(without=["markd"])
    assert "did you mean 'marked'" in caught.value.hint
    assert not marker.exists()


def test_the_order_of_loading_does_not_depend_on_the_order_of_the_entry_points(
    shelf: Shelf, metric: Metric
) -> None:
    for dist in ("zeta", "alpha", "midst"):
        shelf.add(dist, metric(dist))
    forward, backward = (
        PluginHost.discover(found=points) for points in (shelf.points(), shelf.points()[::-1])
    )
    assert [s.name for s in forward.states] == ["core", "alpha", "midst", "zeta"]
    assert [s.name for s in backward.states] == [s.name for s in forward.states]


# --- one-file plugins (rule 9) --------------------------------------------------------------------


def test_a_file_is_a_plugin(shelf: Shelf, metric: Metric, tmp_path: Path) -> None:
    path = tmp_path / "shelf_afternoon.py"
    path.write_text(metric("afternoon"))
    host = shelf.discover(files=[path])
    state = host.state("shelf_afternoon")
    assert (state.status, state.version) == (Status.OK, "file")
    assert host.find(Kind.METRIC, "shelf_afternoon:afternoon").name == "afternoon"


def test_a_file_that_is_given_twice_is_loaded_once(shelf: Shelf, metric: Metric, tmp_path: Path) -> None:
    path = tmp_path / "shelf_given_twice.py"
    path.write_text(metric("given"))
    host = shelf.discover(files=[path, tmp_path / "." / path.name])
    assert [s.status for s in host.states if s.name == "shelf_given_twice"] == [Status.OK]


def test_a_file_is_loaded_even_when_the_variable_names_no_plugin(
    shelf: Shelf, metric: Metric, tmp_path: Path
) -> None:
    path = tmp_path / "shelf_asked_for.py"
    path.write_text(metric("asked"))
    assert "asked" in names(shelf.discover(files=[path], only=[]))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("not-an-identifier.py", "expected an existing Python file"),
        ("no_suffix", "expected an existing Python file"),
        ("json.py", "a module called 'json' exists already"),
    ],
)
def test_a_file_that_cannot_be_a_module_is_refused(
    name: str, reason: str, shelf: Shelf, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text("")
    with pytest.raises(UsageError, match=reason):
        shelf.discover(files=[path])


def test_a_file_that_is_not_there_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected an existing Python file"):
        shelf.discover(files=[tmp_path / "nowhere.py"])
