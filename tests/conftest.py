"""For every test: child processes import the installed package, and no test reaches the network."""

import os

import pytest

from lpcm.plugin.guard import forbid_network

# Also where pytest was not started by make; see the Makefile.
os.environ.setdefault("PYTHONSAFEPATH", "1")


@pytest.fixture(autouse=True)
def offline():
    """Fail every connection of this process."""
    with forbid_network():
        yield
