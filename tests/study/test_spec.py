"""A study: flags and files are one schema, and what does not fit is refused with the way out."""

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpcm.errors import UsageError
from lpcm.study.spec import Study

FLAGS = {
    "encoder": "a,b",
    "task": "fewshot",
    "dataset": "digits",
    "disentangler": "none, ica",
    "adapter": "linear-probe",
    "geometry": "sphere",
    "seeds": "2:4",
    "shots": "4,1",
    "protocol": "clean",
    "fit_on": "shots",
    "components": "64",
    "set": ["ica.k=32", "ica.tol=0.001", "x.word=hello"],
    "weights": "/w.safetensors",
    "device": "cuda:1",
    "precision": "bf16",
    "batch": "8",
    "workers": "0",
    "data_root": "/data",
    "allow_download": True,
    "offline": True,
    "strict": True,
    "metric": "dci,mig",
    "marginal": "uniform",
    "conditional": "vmf:1,laplace:0.1",
}


def test_the_example_covers_every_field():
    assert set(FLAGS) == {f.name for f in fields(Study)}


def test_flags_are_parsed_to_typed_values():
    study = Study.parse(FLAGS, "command line")
    assert study.encoder == ("a", "b")
    assert study.disentangler == ("none", "ica")
    assert study.seeds == (2, 3)
    assert study.shots == (1, 4)
    assert dict(study.set) == {"ica.k": 32, "ica.tol": 0.001, "x.word": "hello"}
    assert study.weights == Path("/w.safetensors")


def test_a_study_written_as_a_file_reads_back_the_same(tmp_path):
    study = Study.parse(FLAGS, "command line")
    (tmp_path / "study.toml").write_text(study.to_toml())
    assert Study.parse(Study.load(tmp_path / "study.toml"), "file") == study


def test_defaults_are_left_out_of_the_file():
    assert Study.parse({"encoder": "a"}, "x").to_toml() == 'encoder = ["a"]\n'


def test_tables_in_a_file_are_settings(tmp_path):
    (tmp_path / "s.toml").write_text("seeds = [0, 7]\nshots = 4\n[set.ica]\nk = 9\n[set]\n'whiten.k' = 9\n")
    study = Study.parse(Study.load(tmp_path / "s.toml"), "s.toml")
    assert study.settings_of("ica") == {"k": 9}
    assert study.settings_of("whiten") == {"k": 9}
    assert study.seeds == (0, 7)
    assert study.shots == (4,)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", (0, 1, 2)), ("0:2", (0, 1)), ("5,1", (1, 5)), (2, (0, 1)), ([3], (3,))],
)
def test_seeds_are_a_count_a_range_or_a_list(text, seeds):
    assert Study.parse({"seeds": text}, "x").seeds == seeds


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("seeds", "0", "at least 1"),
        ("seeds", "3:3", "a count"),
        ("seeds", "-1", "at least 1"),
        ("seeds", "0:99999999999", "at most 10000"),
        ("seeds", 99999999999, "at most 10000"),
        ("seeds", "many", "whole number"),
        ("shots", "0", "at least 1"),
        ("shots", "1,x", "whole number"),
        ("shots", True, "whole number"),
        ("encoder", "", "at least one name"),
        ("encoder", [1], "names"),
        ("device", "tpu", "cpu, cuda"),
        ("precision", "fp8", "fp32 or bf16"),
        ("batch", "0", "at least 1"),
        ("workers", "-1", "0 or more"),
        ("offline", "yes", "true or false"),
        ("set", ["ica.k"], "NAME.PARAM=VALUE"),
        ("set", ["k=3"], "NAME.PARAM"),
        ("weights", "", "text"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(name, value, expected):
    with pytest.raises(UsageError, match=expected) as caught:
        Study.parse({name: value}, "study.toml")
    assert name in str(caught.value)
    assert "study.toml" in str(caught.value)


def test_an_unknown_field_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match="'disentangler'"):
        Study.parse({"disentanglers": "ica"}, "study.toml")


@pytest.mark.parametrize("content", ["a = ", "\x00", "[["])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    (tmp_path / "s.toml").write_text(content)
    with pytest.raises(UsageError, match="is no TOML"):
        Study.load(tmp_path / "s.toml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        Study.load(tmp_path / "none.toml")


@given(
    st.dictionaries(
        st.sampled_from(sorted(FLAGS)),
        st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.lists(st.text())),
    )
)
def test_any_values_give_a_study_or_a_usage_error(values):
    try:
        study = Study.parse(values, "fuzz")
    except UsageError:
        return
    assert isinstance(study, Study)
