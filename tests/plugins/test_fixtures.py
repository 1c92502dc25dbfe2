"""The pytest plugin: fixtures and decorators as an author uses them, good and bad, in a pytest of its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from lpcm.keys import Key
from lpcm.testing import make_pairs

from .installing import run

TESTS = """
import random
import socket

import pytest
from lpcm.testing import check_adapter, check_dataset, check_metric


def test_good_network(no_network):
    pass


def test_good_generators(no_global_random):
    random.Random(0).random()


def test_bad_network(no_network):
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=0.1)
    except OSError:
        pass


def test_bad_generators(no_global_random):
    random.random()


def test_good_host(plugin_host):
    assert plugin_host.state("core")


def test_good_images(tiny_images):
    assert len({image.size for image in tiny_images}) >= 5


def test_good_captions(tiny_captions):
    assert all(tiny_captions)


@check_metric("accuracy")
def test_good_metric(check):
    check()


@check_metric("acuracy")
def test_unknown_metric(check):
    check()


@check_dataset("cifar100")
def test_absent_dataset(check):
    check()
"""


@pytest.mark.slow
def test_fixtures_and_decorators_do_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "test_author.py").write_text(TESTS)
    ignored = (
        "ignore:Module already imported:pytest.PytestAssertRewriteWarning"  # an editable install of lpcm
    )
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-W", "error", "-W", ignored]
    done = run([*command, "--rootdir", tmp_path, tmp_path], cwd=tmp_path, LPCM_STORE=str(tmp_path))
    outcomes: dict[str, set[str]] = {}
    for name, outcome in re.findall(r"::(test_\w+)\S* (PASSED|FAILED|SKIPPED|ERROR)", done.stdout):
        outcomes.setdefault(name, set()).add(outcome)
    assert done.returncode == 1
    assert {name for name, found in outcomes.items() if "FAILED" in found} == {
        "test_unknown_metric",
    }
    # What a fixture finds after the test is an error of its tear-down, beside the test that passed.
    assert outcomes["test_bad_network"] == outcomes["test_bad_generators"] == {"PASSED", "ERROR"}
    assert outcomes["test_good_metric"] == {"PASSED", "SKIPPED"}
    assert outcomes["test_absent_dataset"] == {"PASSED", "SKIPPED"}
    for words in (
        "tried to reach '127.0.0.1'",
        "changed the global state of random",
        "did you mean 'accuracy'",
    ):
        assert words in done.stdout


def test_pairs_are_decided_by_their_key_and_coupled() -> None:
    one, again, other = (make_pairs(3, 257, Key.of(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one.x, again.x)
    assert not np.array_equal(one.x, other.x)
    np.testing.assert_allclose(one.x, one.z @ one.mix_x.T)
    # The partner differs by noise of standard deviation 0.1: the mean square is 0.01, give or take 5 %.
    assert 0.008 < np.square(one.z - one.z_partner).mean() < 0.012


@pytest.mark.parametrize(("source", "kurtosis"), [("laplace", 6.0), ("gaussian", 3.0)])
def test_sources_have_variance_one_and_the_kurtosis_of_their_law(source: str, kurtosis: float) -> None:
    z = make_pairs(3, 20011, Key.of(0), source=source).z
    # Of 60,000 draws: the standard error of the variance is 0.01, of a Laplace kurtosis about 0.15.
    assert abs(z.var() - 1) < 0.05
    assert abs((z**4).mean() / z.var() ** 2 - kurtosis) < 0.7


def test_another_source_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 'laplace' or 'gaussian'"):
        make_pairs(3, 5, Key.of(0), source="cauchy")
