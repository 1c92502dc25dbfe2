from __future__ import annotations

import pytest

from lpcm.datasets.names import checked_id, pretty, pretty_all
from lpcm.errors import DataError


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("grand_piano", "grand piano"),
        ("001.Black_footed_Albatross", "Black footed Albatross"),
        ("t-shirt", "t-shirt"),
        ("__a__b_", "a b"),
        ("737-800", "737-800"),
        ("10", "10"),
        ("_", "_"),
        ("Bu\u0308ro", "B\u00fcro"),
    ],
)
def test_folder_names_become_words(folder, said):
    assert pretty(folder) == said


def test_names_that_would_read_the_same_stay_apart_and_are_noted():
    names, notes = pretty_all(["sea_horse", "sea horse", "crab_1"])
    assert names == ("sea_horse", "sea horse", "crab 1")
    assert "'sea_horse', 'sea horse'" in notes[0]


def test_an_id_is_the_same_however_the_file_system_spells_it():
    assert checked_id("o\u0308l/1.png") == checked_id("\u00f6l/1.png")


def test_a_name_that_is_not_utf8_is_refused():
    with pytest.raises(DataError, match="not valid UTF-8"):
        checked_id(b"caf\xe9.png".decode(errors="surrogateescape"))
