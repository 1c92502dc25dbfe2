"""The host: states instead of crashes, nothing half registered, collisions that name both, selection before import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lpcm.errors import LpcmError, MissingError, UsageError
from lpcm.plugin import hookspecs
from lpcm.plugin.host import PluginHost
from lpcm.plugin.loader import Status
from lpcm.plugin.records import Kind, RunRecord

from .conftest import Shelf

Metric = Callable[[str], str]


def names(host: PluginHost, kind: Kind = Kind.METRIC) -> set[str]:
    return {offer.shortest_name for offer in host.offers(kind)}


# --- a broken plugin is a state (rules 4 and 8) ---------------------------------------------------


def test_a_plugin_that_raises_is_broken_and_the_others_go_on(shelf: Shelf, metric: Metric) -> None:
    shelf.add("a-first", metric("first"))
    shelf.add("b-broken", "raise RuntimeError('no luck')")
    shelf.add("c-last", metric("last"))
    host = shelf.discover()
    state = host.state("b-broken")
    assert state.status is Status.BROKEN
    assert state.reason == "RuntimeError: no luck"
    assert "no luck" in state.traceback
    assert {"first", "last", "accuracy"} <= names(host)


@pytest.mark.parametrize("code", ["raise SystemExit(5)", "import sys; sys.exit()", "def (", "1 / 0"])
def test_whatever_a_module_does_at_import_the_host_stands(code: str, shelf: Shelf) -> None:
    shelf.add("rude", code)
    host = shelf.discover()
    assert host.state("rude").status is Status.BROKEN
    assert host.state("core").status is Status.OK


def test_a_hook_that_raises_leaves_nothing_registered(shelf: Shelf, metric: Metric) -> None:
    broken_hook = "\n@hookimpl\ndef lpcm_tasks():\n    raise ValueError('late')\n    yield\n"
    shelf.add("half", metric("half") + broken_hook)
    host = shelf.discover()
    assert host.state("half").status is Status.BROKEN
    assert host.state("half").records == ()
    assert "half" not in names(host)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "implements no hook"),
        ("def lpcm_metrics():\n    return ()\n", "lpcm_metrics is not marked"),
        (
            "from lpcm.plugin import hookimpl\n@hookimpl\ndef lpcm_metric():\n    return ()\n",
            "did you mean 'lpcm_metrics'",
        ),
        (
            "from lpcm.plugin import hookimpl\n@hookimpl\ndef lpcm_run_finished(rekord):\n    pass\n",
            "rekord",
        ),
        (
            "from lpcm.plugin import hookimpl\n@hookimpl\ndef lpcm_metrics():\n    yield 'accuracy'\n",
            "yielded str: expected MetricRecord",
        ),
        (
            "from lpcm.plugin import EncoderRecord, hookimpl\n@hookimpl\ndef lpcm_metrics():\n"
            "    yield EncoderRecord(name='e', summary='s', loader='a:b')\n",
            "yielded EncoderRecord: expected MetricRecord",
        ),
        (
            "from lpcm.plugin import MetricRecord, hookimpl\n@hookimpl\ndef lpcm_metrics():\n"
            "    return MetricRecord(name='e', summary='s', loader='a:b')\n",
            "expected to yield MetricRecord",
        ),
        (
            "from lpcm.plugin import MetricRecord, hookimpl\n@hookimpl\ndef lpcm_metrics():\n"
            "    for _ in range(2):\n        yield MetricRecord(name='e', summary='s', loader='a:b')\n",
            "'e' twice",
        ),
        (
            "from lpcm.plugin import MetricRecord, hookimpl\n@hookimpl\ndef lpcm_metrics():\n"
            "    yield MetricRecord(name='Not A Name', summary='s', loader='a:b')\n",
            "expected lower-case letters",
        ),
        (
            "from lpcm.plugin import MetricRecord, hookimpl\n@hookimpl\ndef lpcm_metrics():\n"
            "    yield MetricRecord(name='e', summary='s', loader='module.attribute')\n",
            "expected 'package.module:attribute'",
        ),
    ],
)
def test_a_plugin_that_misses_the_interface_is_told_how(code: str, reason: str, shelf: Shelf) -> None:
    shelf.add("faulty", code)
    state = shelf.discover().state("faulty")
    assert state.status is Status.BROKEN
    assert reason in state.reason


def test_a_hidden_connection_attempt_is_seen(shelf: Shelf, metric: Metric) -> None:
    code = "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 0.1)\nexcept OSError:\n    pass\n"
    shelf.add("caller", code + metric("caller"))
    assert "127.0.0.1" in shelf.discover().state("caller").reason


@pytest.mark.parametrize(
    ("code", "generator"),
    [
        ("import random; random.random()", "random"),
        ("import numpy; numpy.random.rand(2)", "numpy.random"),
        ("import torch; torch.manual_seed(3)", "torch"),
    ],
)
def test_a_global_generator_that_moved_is_named(
    code: str, generator: str, shelf: Shelf, metric: Metric, generators_put_back: None
) -> None:
    shelf.add("dice", f"{code}\n{metric('dice')}")
    state = shelf.discover().state("dice")
    assert state.status is Status.BROKEN
    assert f"state of {generator} " in state.reason


def test_one_module_named_by_two_entry_points_is_loaded_once(shelf: Shelf, metric: Metric) -> None:
    module = shelf.add("twice", metric("mine"), plugin="first")
    (info,) = shelf.folder.glob("*.dist-info")
    (info / "entry_points.txt").write_text(f"[lpcm]\nfirst = {module}\nsecond = {module}\n")
    host = shelf.discover()
    assert host.state("first").status is Status.OK
    assert host.state("second").status is Status.BROKEN
    assert "same module as the plugin twice:first" in host.state("second").reason
    assert host.find(Kind.METRIC, "mine").offer.plugin == "first"


def test_what_a_module_prints_does_not_get_into_the_output(
    shelf: Shelf, metric: Metric, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.add("chatty", "print('hello')\n" + metric("chatty"))
    assert shelf.discover().state("chatty").status is Status.OK
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "hello\n")


def test_strict_raises_what_would_be_a_state(
    shelf: Shelf, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.add("bad", "raise RuntimeError('no luck')")
    with pytest.raises(LpcmError, match="'bad' of bad is broken: RuntimeError: no luck"):
        shelf.discover(strict=True)
    monkeypatch.setenv("LPCM_STRICT_PLUGINS", "1")
    with pytest.raises(LpcmError, match="no luck"):
        shelf.discover()


def test_asking_for_what_an_unusable_plugin_offers_gives_its_reason(shelf: Shelf) -> None:
    shelf.add("my-metrics", "raise RuntimeError('no luck')")
    with pytest.raises(MissingError, match=r"my-metrics.* broken: RuntimeError: no luck"):
        shelf.discover().find(Kind.METRIC, "my-metrics")


def test_two_hosts_share_nothing(shelf: Shelf, metric: Metric) -> None:
    shelf.add("mine", metric("mine"))
    with_it, without_it = shelf.discover(), shelf.discover(only=[])
    assert "mine" in names(with_it)
    assert "mine" not in names(without_it)


def test_importing_the_package_makes_no_manager() -> None:
    code = (
        "import gc, pluggy, lpcm, lpcm.plugin.host, lpcm.plugin.hookspecs, lpcm.testing.pytest_plugin\n"
        "assert not [o for o in gc.get_objects() if isinstance(o, pluggy.PluginManager)]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- names (rule 5) -------------------------------------------------------------------------------


def test_a_collision_names_both_and_the_full_names_work(shelf: Shelf, metric: Metric) -> None:
    shelf.add("dist-a", metric("same"), version="1.0")
    shelf.add("dist-b", metric("same"), version="2.0")
    host = shelf.discover()
    for dist in ("dist-a", "dist-b"):
        state = host.state(dist)
        assert state.status is Status.CONFLICT
        assert "dist-a:same" in state.reason
        assert "dist-b:same" in state.reason
        assert host.find(Kind.METRIC, f"{dist}:same").offer.dist == dist
    with pytest.raises(UsageError) as caught:
        host.find(Kind.METRIC, "same")
    assert "dist-a and dist-b" in caught.value.message
    assert "dist-a:same or dist-b:same" in caught.value.hint
    assert {"dist-a:same", "dist-b:same"} <= names(host)


def test_a_collision_leaves_other_names_short(shelf: Shelf, metric: Metric) -> None:
    shelf.add("dist-a", metric("same"))
    second = "\n    yield MetricRecord(name='own', summary='s', loader='a:b')\n"
    shelf.add("dist-b", metric("same").rstrip() + second)
    assert {"own", "accuracy", "dist-a:same", "dist-b:same"} <= names(shelf.discover())


def test_the_full_name_works_without_a_collision_and_is_found_again_as_the_short_one(
    shelf: Shelf, metric: Metric
) -> None:
    shelf.add("my-dist", metric("mine"), plugin="my-plugin")
    host = shelf.discover()
    for text in ("mine", "my-dist:mine", "my-plugin:mine"):
        assert host.find(Kind.METRIC, text).name == "mine"


def test_the_same_plugin_name_from_two_distributions_is_a_conflict(shelf: Shelf, metric: Metric) -> None:
    shelf.add("dist-a", metric("a"), plugin="twin")
    shelf.add("dist-b", metric("b"), plugin="twin")
    host = shelf.discover()
    assert {host.state(f"dist-{x}").status for x in "ab"} == {Status.CONFLICT}
    assert "dist-b" in host.state("dist-a").reason
    assert {"a", "b"} <= names(host)


def test_a_misspelt_name_gets_the_nearest_one(shelf: Shelf) -> None:
    with pytest.raises(UsageError) as caught:
        shelf.discover().find(Kind.METRIC, "acuracy")
    assert "did you mean 'accuracy'" in caught.value.hint


def test_what_follows_the_colon_is_kept_and_refused_where_nothing_is_taken(shelf: Shelf) -> None:
    host = shelf.discover()
    assert host.find(Kind.DATASET, "folder:a:b/c").argument == "a:b/c"
    assert host.find(Kind.DATASET, "lpcm:folder:x").argument == "x"
    with pytest.raises(UsageError, match="takes nothing after a colon"):
        host.find(Kind.DATASET, "digits:x")
    with pytest.raises(UsageError, match="needs PATH"):
        host.find(Kind.DATASET, "folder")


def test_a_loader_is_resolved_only_when_it_is_used(shelf: Shelf, metric: Metric) -> None:
    shelf.add("lazy", metric("lazy").replace("lpcm.metrics.accuracy:Accuracy", "nowhere.at.all:Thing"))
    host = shelf.discover()
    assert host.state("lazy").status is Status.OK
    with pytest.raises(LpcmError, match=r"lazy:lazy does not load: 'nowhere.at.all:Thing'"):
        host.load(host.find(Kind.METRIC, "lazy"))


def test_a_record_that_requires_what_is_not_installed_says_what_to_type(shelf: Shelf, metric: Metric) -> None:
    shelf.add("needy", metric("needy").replace("summary=", "requires=('no-such-dist',), summary="))
    host = shelf.discover()
    with pytest.raises(MissingError) as caught:
        host.load(host.find(Kind.METRIC, "needy"))
    assert caught.value.hint == "type: pip install no-such-dist"


# --- interface version (rule 6) -------------------------------------------------------------------

NEW_HOOK = "\n@hookimpl\ndef lpcm_from_the_future():\n    return ()\n"


def test_a_newer_major_interface_is_incompatible(shelf: Shelf, metric: Metric) -> None:
    shelf.add("future", f"LPCM_API = ({hookspecs.API[0] + 1}, 0)\n{metric('future')}{NEW_HOOK}")
    state = shelf.discover().state("future")
    assert state.status is Status.INCOMPATIBLE
    assert "upgrade lpcm" in state.reason


def test_a_newer_minor_interface_works_and_its_unknown_hooks_are_reported(
    shelf: Shelf, metric: Metric
) -> None:
    major, minor = hookspecs.API
    shelf.add("soon", f"LPCM_API = ({major}, {minor + 1})\n{metric('soon')}{NEW_HOOK}")
    host = shelf.discover()
    assert host.state("soon").status is Status.OK
    assert any("lpcm_from_the_future" in note for note in host.state("soon").notes)
    assert "soon" in names(host)


def test_an_unknown_hook_of_this_interface_is_a_mistake(shelf: Shelf, metric: Metric) -> None:
    shelf.add("typo", metric("typo") + NEW_HOOK)
    assert "unknown hook 'lpcm_from_the_future'" in shelf.discover().state("typo").reason


@pytest.mark.parametrize("api", ["'1.0'", "(1,)", "1", "('1', '0')", "[1, 0]"])
def test_an_interface_version_that_is_no_pair_is_refused(api: str, shelf: Shelf, metric: Metric) -> None:
    shelf.add("odd", f"LPCM_API = {api}\n{metric('odd')}")
    assert "expected a pair of integers" in shelf.discover().state("odd").reason


# --- listening to runs ----------------------------------------------------------------------------

LISTENER = """
from lpcm.plugin import hookimpl

@hookimpl
def lpcm_run_finished({arguments}):
    {body}
"""


def test_a_listener_that_fails_is_named_and_the_others_are_told(shelf: Shelf, tmp_path: Path) -> None:
    told = tmp_path / "told"

    def writes(text: str) -> str:
        return f"with open({str(told)!r}, 'a') as file: file.write({text})"

    shelf.add("a-bad", LISTENER.format(arguments="record", body="raise OSError('disk full')"))
    shelf.add("b-good", LISTENER.format(arguments="record", body=writes("record.folder + ';'")))
    shelf.add("c-terse", LISTENER.format(arguments="", body=writes("'terse;'")))
    complaints = shelf.discover().run_finished(RunRecord(folder="the-run", rows=()))
    assert set(told.read_text().split(";")[:-1]) == {"the-run", "terse"}
    assert len(complaints) == 1
    assert "a-bad" in complaints[0]
    assert "disk full" in complaints[0]


def test_a_plugin_that_only_listens_is_ok(shelf: Shelf) -> None:
    shelf.add("listener", LISTENER.format(arguments="record", body="pass"))
    assert shelf.discover().state("listener").status is Status.OK


# --- built-ins come through the same door (rule 3) --------------------------------------------------


def test_built_ins_are_a_plugin_like_any_other(shelf: Shelf) -> None:
    host = shelf.discover()
    assert host.state("core").dist == "lpcm"
    assert host.find(Kind.DISENTANGLER, "lpcm:ica").name == "ica"
    assert host.offers(Kind.ENCODER)


def test_every_kind_has_a_hook_with_its_version() -> None:
    for kind in Kind:
        assert "Since 1.0." in getattr(hookspecs, kind.hook).__doc__
