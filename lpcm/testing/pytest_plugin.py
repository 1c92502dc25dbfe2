"""Fixtures for tests of plugins. Pytest loads this wherever lpcm is installed: it imports nothing but pytest.

It refuses to change any run that does not ask for a fixture: no option, no hook, no marker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from PIL.Image import Image

    from lpcm.plugin.host import PluginHost
    from lpcm.testing.data import Pairs


@pytest.fixture
def plugin_host() -> PluginHost:
    """A host of its own with the installed plugins."""
    from lpcm.plugin.host import PluginHost

    return PluginHost.discover()


@pytest.fixture
def tiny_images() -> list[Image]:
    """Seven small Pillow images of odd sizes and several modes."""
    from lpcm.testing.data import make_tiny_images

    return make_tiny_images()


@pytest.fixture
def tiny_captions() -> tuple[str, ...]:
    """Five texts: short, plain, accented, one letter, and longer than any context."""
    from lpcm.testing.data import CAPTIONS

    return CAPTIONS


@pytest.fixture
def synthetic_pairs() -> Callable[..., Pairs]:
    """``synthetic_pairs(d, n, key)``: paired latents with linear mixing; see ``lpcm.testing.make_pairs``."""
    from lpcm.testing.data import make_pairs

    return make_pairs


@pytest.fixture
def no_network() -> Iterator[None]:
    """Every connection fails, and the test fails when one was tried."""
    from lpcm.plugin.guard import forbid_network

    with forbid_network() as tried:
        yield
    if tried:
        pytest.fail(f"tried to reach {', '.join(sorted(set(tried)))}", pytrace=False)


@pytest.fixture
def no_global_random() -> Iterator[None]:
    """The test fails when the global state of ``random``, numpy or torch changed."""
    from lpcm.plugin.guard import changed_generators, random_states

    before = random_states()
    yield
    touched = changed_generators(before, random_states())
    if touched:
        pytest.fail(f"changed the global state of {', '.join(touched)}", pytrace=False)
