"""Cards: each says what a reader must know, and the pages of docs/metrics are the cards of the code."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from lpcm.metrics.records import RECORDS

FOLDER = Path(__file__).parents[2] / "docs" / "metrics"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_metric_cards", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_is_the_card_of_its_metric(generate):
    behind = [
        path.name
        for path, text in generate.pages().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert not behind, "type: python docs/metrics/generate.py"


def test_the_index_lists_every_metric(generate):
    assert (FOLDER / "index.md").read_text(encoding="utf-8") == generate.index(), (
        "type: python docs/metrics/generate.py"
    )


def test_there_is_no_page_without_a_metric(generate):
    pages = {path.name for path in FOLDER.glob("*.md")}
    assert pages == {path.name for path in generate.pages()} | {"index.md"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_card_says_what_a_reader_must_know(record, generate):
    text = generate.card(record)
    assert text.startswith(f"# {record.name}\n")
    for heading in ("Definition", "Range", "Chance", "Known failures", "Source"):
        assert f"**{heading}" in text
    assert "Invariant" in text or "Blind to rotations" in text
