"""Study files of several parts: shared fields, one folder a part, one table a part."""

import json

import pytest

from lpcm.errors import UsageError
from lpcm.study.spec import Study
from lpcm.study.suite import find_study, packaged, parts_of

TWO = """
encoder = "toy"
task = "fewshot"
dataset = "toy"
shots = 1
seeds = 1

[set]
"linear-probe.max_iter" = 50

[[part]]
name = "plain"
disentangler = "none"

[[part]]
name = "white"
disentangler = "whiten"
shots = 2
"""


def test_parts_inherit_what_stands_above_them(tmp_path):
    file = tmp_path / "two.toml"
    file.write_text(TWO)
    plain, white = parts_of(Study.load(file), {}, "two.toml")
    assert (plain.name, plain.study.disentangler, plain.study.shots) == ("plain", ("none",), (1,))
    assert (white.name, white.study.disentangler, white.study.shots) == ("white", ("whiten",), (2,))
    assert plain.study.set == white.study.set == (("linear-probe.max_iter", 50),)


def test_flags_change_every_part(tmp_path):
    file = tmp_path / "two.toml"
    file.write_text(TWO)
    parts = parts_of(Study.load(file), {"shots": "4"}, "two.toml")
    assert {part.study.shots for part in parts} == {(4,)}


def test_a_setting_changed_by_a_flag_or_a_part_leaves_the_others_as_they_are():
    file = {
        "task": "fewshot",
        "set": {"ica": {"k": 8, "tol": 0.1}},
        "part": [{"name": "a", "set": {"ica": {"k": 9}}}],
    }
    (part,) = parts_of(file, {"set": ["ica.seed=2"]}, "file.toml")
    assert part.study.set == (("ica.k", 9), ("ica.seed", 2), ("ica.tol", 0.1))


def test_a_flag_that_is_no_setting_is_refused_though_the_file_has_good_ones():
    with pytest.raises(UsageError, match=r"part 'a': set is \['ica.k'\]: .*NAME.PARAM=VALUE"):
        parts_of({"set": {"ica": {"k": 8}}, "part": [{"name": "a"}]}, {"set": ["ica.k"]}, "file.toml")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ([], "one or more"),
        ([{"task": "fewshot"}], "part 1 has name None"),
        ([{"name": "../x"}], r"part 1 has name '\.\./x'"),
        ([{"name": "a"}, {"name": "a"}], "two parts"),
        ([{"name": "a", "tsak": "fewshot"}], "part 'a': a study has no field 'tsak'"),
    ],
)
def test_wrong_parts_are_named(part, said):
    with pytest.raises(UsageError, match=said):
        parts_of({"part": part}, {}, "file.toml")


def test_a_suite_runs_its_parts_into_one_folder_and_goes_on(command, tmp_path):
    file = tmp_path / "two.toml"
    file.write_text(TWO)
    code, out, _ = command("run", file, "--out", tmp_path / "suite", "--json")
    answer = json.loads(out)
    assert (code, answer["exit_code"]) == (0, 0)
    assert [part["name"] for part in answer["parts"]] == ["plain", "white"]
    assert all((tmp_path / "suite" / part / "rows.jsonl").exists() for part in ("plain", "white"))
    shown, tables, _ = command("show", tmp_path / "suite", store=False)
    assert shown == 0
    assert tables.index("part plain") < tables.index("part white")
    shown, pages, _ = command("show", tmp_path / "suite", "--markdown", store=False)
    assert pages.index("## plain") < pages.index("## white")
    shown, told, _ = command("show", tmp_path / "suite", "--json", store=False)
    assert [part["name"] for part in json.loads(told)["parts"]] == ["plain", "white"]
    again, out, said = command("run", file, "--out", tmp_path / "suite")
    assert again == 0
    assert said.count("nothing to do") == 2
    assert out.count("toy on toy") == 2


def test_a_suite_does_not_move_into_a_folder_of_something_else(command, tmp_path):
    file = tmp_path / "two.toml"
    file.write_text(TWO)
    code, _, said = command("run", file, "--out", tmp_path)  # it holds the study file
    assert code == 2
    assert "is not the folder of a suite" in said


def test_a_part_that_cannot_be_planned_leaves_the_others_their_turn(command, tmp_path):
    file = tmp_path / "two.toml"
    file.write_text(TWO.replace('disentangler = "none"', 'disentangler = "nonesuch"'))
    code, out, said = command("run", file, "--out", tmp_path / "suite", "--json")
    answer = json.loads(out)
    assert code == answer["exit_code"] == 2
    assert "nonesuch" in answer["parts"][0]["error"]["message"]
    assert "nonesuch" in said
    assert answer["parts"][1]["exit_code"] == 0


def test_a_packaged_study_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    for text in ("suite-mini", "suite-mini.toml", "studies/suite-mini.toml"):
        assert find_study(Path(text)) == packaged()["suite-mini"]
    with pytest.raises(UsageError, match="no such file"):
        find_study(Path("suite-mimi.toml"))


@pytest.mark.parametrize("name", sorted(packaged()))
def test_packaged_studies_are_well_formed(name):
    values = Study.load(packaged()[name])
    if "part" in values:
        assert parts_of(values, {}, name)
    else:
        Study.parse(values, name)


def test_packaged_studies_are_listed(command):
    code, out, _ = command("ls", "studies", store=False)
    assert code == 0
    assert all(name in out for name in packaged())


def test_the_suite_of_small_sets_names_everything_built_in():
    from lpcm import builtin
    from lpcm.plugin.records import Kind, TaskRecord

    parts = parts_of(Study.load(packaged()["suite-mini"]), {}, "suite-mini")
    for kind in (Kind.TASK, Kind.ADAPTER, Kind.DISENTANGLER, Kind.METRIC):
        named = {name for part in parts for name in getattr(part.study, kind.value)}
        offered = {
            record.name
            for record in getattr(builtin, kind.hook)()
            if not isinstance(record, TaskRecord) or Kind.ENCODER in record.axes  # simulations have their own
        }
        assert "all" in named or offered <= named, kind
