from __future__ import annotations

import pytest

from lpcm.datasets.manifest import CsvDataset
from lpcm.errors import DataError, MissingError, UsageError


@pytest.fixture
def table(options, paint, tmp_path):
    """Write a table, and every image that ``names`` lists, and load it."""

    def make(
        text: str, names: str = "a.png b.png sub/c.png", file: str = "list.csv", encoding: str = "utf-8"
    ):
        for name in names.split():
            paint(tmp_path / "set" / name)
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / file).write_bytes(text.encode(encoding))
        return CsvDataset(options(tmp_path / "set" / file))

    return make


FULL = """path,label,domain,caption,split
a.png,owl,photo,"An owl, asleep",train
b.png,sea_cow,art,A sea cow,train
sub/c.png,owl,art,,test
a.png,owl,photo,An owl at noon,train
"""


def test_every_column_is_read_and_further_rows_add_captions(table):
    data = table(FULL)
    assert data.classes == ("owl", "sea cow")
    assert data.domains == ("art", "photo")
    assert data.splits == ("train", "test")
    owl, cow = data.samples("train")
    assert (owl.id, owl.label, owl.domain) == ("a.png", 0, "photo")
    assert owl.captions == ("An owl, asleep", "An owl at noon")
    assert (cow.label, cow.captions) == (1, ("A sea cow",))
    assert data.samples("test")[0].image.open().size == (5, 3)
    assert data.notes == ()


def test_paths_are_relative_to_the_table_wherever_one_stands(table, monkeypatch, tmp_path):
    data = table(FULL)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert data.size == 3


def test_absolute_paths_work(table, paint, tmp_path):
    away = paint(tmp_path / "away" / "x.png")
    data = table(f"path,label\n{away},owl\na.png,elk\n")
    assert away in {sample.image.path for split in data.splits for sample in data.samples(split)}


def test_without_a_split_one_is_made_by_key_and_said(table):
    names = [f"{n}.png" for n in range(20)]
    text = "label,path\n" + "\n".join(f"{'owl' if n % 2 else 'elk'},{name}" for n, name in enumerate(names))
    data = table(text, " ".join(names))
    assert {split: len(data.samples(split)) for split in data.splits} == {"train": 10, "val": 4, "test": 6}
    assert "made by key" in data.notes[-1]


def test_what_spreadsheets_do_is_understood(table):
    text = "\ufeffPath , Label\r\na.png, owl \r\n\r\n./b.png,elk\r\n,\r\n"
    data = table(text)
    assert data.classes == ("elk", "owl")
    assert sorted(s.id for split in data.splits for s in data.samples(split)) == ["a.png", "b.png"]


def test_tabs_separate_in_a_tsv(table):
    assert table("path\tlabel\na.png\towl, barn\nb.png\telk\n", file="list.tsv").classes == (
        "elk",
        "owl, barn",
    )


def test_numbers_as_labels_are_in_the_order_of_their_values(table):
    data = table("path,label\na.png,10\nb.png,9\nsub/c.png,2\n")
    assert data.classes == ("2", "9", "10")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "line 1: no column path and label", ""),
        ("path,label\n", "has no rows: expected a line path,label", ""),
        ("path,lable\na.png,owl\n", "line 1: no column label in 'path,lable'", "did you mean 'label'?"),
        ("path;label\na.png;owl\n", "line 1: no column path and label in 'path;label'", ""),
        ("path,label,path\na.png,owl,b\n", "a column is there twice", ""),
        ("path,label\na.png,owl\n,elk\n", "line 3: path is empty", ""),
        ("path,label\na.png,owl\nb.png,\n", "line 3: label is empty", ""),
        ("path,label\na.png,owl,barn\n", "line 2: 3 fields, expected 2", "double quotes"),
        ("path,label\na.png\n", "line 2: 1 fields, expected 2", ""),
        ('path,label\n"a.png,owl\n', "line 2: unexpected end of data", ""),
        (
            "path,label\na.png,owl\nx.png,elk\ny.png,elk\n",
            r"1 of 3 images found; missing: x\.png \(line 3\)",
            "relative to",
        ),
        ("path,label\na.png,owl\nsub\\c.png,elk\n", "missing", "forward slashes"),
        ("path,label\nhttps://x.org/a.png,owl\n", "line 2: .* is an address", "Fetch"),
        ("path,label\na.png,owl\nb.png,owl\n", "one class only, 'owl'", ""),
        ("path,label\na.png,owl\na.png,elk\n", "line 3: a.png is there already, in line 2", "caption"),
        ("path,label\na.png,owl\n./a.png,owl\n", "line 3: a.png is there already, in line 2", ""),
        (
            "path,label,split\na.png,owl,train\nb.png,elk,tset\n",
            "line 3: split 'tset'",
            "did you mean 'test'?",
        ),
        (
            "path,label,split\na.png,owl,train\nb.png,elk,\n",
            "line 3: no split, as in 1 of 2 images",
            "every row",
        ),
        ("path,label,domain\na.png,owl,art\nb.png,elk,\n", "line 3: no domain, as in 1 of 2", "every row"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(table, text, message, hint):
    with pytest.raises(DataError, match=message) as caught:
        table(text).samples("train")
    assert hint in caught.value.hint


def test_a_line_number_counts_lines_not_rows(table):
    text = 'path,label,caption\na.png,owl,"two\nlines"\nb.png,,x\n'
    with pytest.raises(DataError, match="line 4: label is empty"):
        table(text).samples("train")


def test_a_table_that_is_not_utf8_is_refused(table):
    with pytest.raises(DataError, match="is not UTF-8"):
        table("path,label\na.png,K\u00e4uzchen\nb.png,elk\n", encoding="latin-1").samples("train")


def test_a_missing_table_and_a_folder_say_what_to_type(options, tmp_path):
    (tmp_path / "list.csv").write_text("path,label\n")
    with pytest.raises(MissingError, match="does not exist") as missing:
        CsvDataset(options(tmp_path / "lits.csv")).samples("train")
    assert "'list.csv'" in missing.value.hint
    with pytest.raises(UsageError, match="is a folder") as folder:
        CsvDataset(options(tmp_path)).samples("train")
    assert folder.value.hint == f"Type folder:{tmp_path}"
    with pytest.raises(UsageError, match="needs a file"):
        CsvDataset(options(""))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("asleep", "awake"),
        ("art,,", "photo,,"),
        ("sub/c.png,owl", "sub/c.png,sea_cow"),
        ("sea_cow", "sea_hare"),
    ],
)
def test_the_digest_moves_with_captions_domains_labels_and_class_names(table, old, new):
    before = table(FULL).digest()
    assert table(FULL).digest() == before
    assert table(FULL.replace(old, new)).digest() != before


def test_the_digest_does_not_follow_the_order_of_the_rows(table):
    head, *rows = FULL.splitlines()
    before = table(FULL).digest()
    assert table("\n".join([head, rows[2], rows[1], rows[0], rows[3]])).digest() == before
