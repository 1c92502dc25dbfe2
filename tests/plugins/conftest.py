"""Plugins made from the template and installed once, and a shelf for distributions that a test writes itself."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from typing import Any

import pytest

from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind
from lpcm.plugin.template_files import render

from .installing import install_all


@dataclass(frozen=True)
class Rendered:
    """A plugin made from the template: its source folder and where it is installed."""

    name: str
    kind: Kind
    source: Path
    site: Path


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Rendered]:
    """One rendered and installed plugin of each kind."""
    work = tmp_path_factory.mktemp("rendered")
    sources = {kind: render(f"my-{kind.value}", kind, work / "new") for kind in Kind}
    site = install_all(list(sources.values()), work)
    return {kind: Rendered(source.name, kind, source, site) for kind, source in sources.items()}


@dataclass
class Shelf:
    """Distributions written by a test, with metadata as pip would leave it; the modules have names of their own."""

    folder: Path
    _modules: list[str] = field(default_factory=list)

    def add(self, dist: str, code: str, *, plugin: str = "", version: str = "1.0") -> str:
        """Put a distribution with one plugin module on the shelf; returns the module's name."""
        module = f"shelf_{dist.replace('-', '_')}_{len(self._modules)}"
        self._modules.append(module)
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[lpcm]\n{plugin or dist} = {module}\n")
        importlib.invalidate_caches()
        return module

    def points(self) -> list[EntryPoint]:
        """Entry points of the shelf and of the built-ins, nothing else that is installed."""
        found = [p for d in distributions(path=[str(self.folder)]) for p in d.entry_points]
        return found + [p for p in entry_points(group="lpcm") if p.name == "core"]

    def discover(self, **options: Any) -> PluginHost:
        """A host of the shelf and the built-ins."""
        return PluginHost.discover(found=self.points(), **options)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """An empty shelf; what its modules leave in ``sys.modules`` is taken away again."""
    for name in ("LPCM_PLUGINS", "LPCM_STRICT_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield Shelf(folder)
    for name in set(sys.modules) - before:
        if name.startswith("shelf_"):
            del sys.modules[name]


METRIC = """
from lpcm.plugin import MetricRecord, hookimpl

@hookimpl
def lpcm_metrics():
    yield MetricRecord(name={name!r}, summary="for a test", loader="lpcm.metrics.accuracy:Accuracy")
"""


@pytest.fixture
def metric() -> Callable[[str], str]:
    """Code of a plugin that offers one metric of that name."""
    return lambda name: METRIC.format(name=name)


@pytest.fixture
def generators_put_back() -> Iterator[None]:
    """For things that move the global generators on purpose: what they moved is put back."""
    import random

    import numpy.random
    import torch

    before = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(before[0])
    numpy.random.set_state(before[1])
    torch.set_rng_state(before[2])
