"""The examples in the docstrings run."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "name", ["ball", "box", "factors", "laws", "product", "similarities", "sphere", "unbounded"]
)
def test_examples_run(name):
    result = doctest.testmod(import_module(f"lpcm.geometries.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
