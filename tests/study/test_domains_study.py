"""Domain generalisation through the runner: marked oracles, averages over targets, and what cannot be is a row."""

import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from safetensors.numpy import load_file

from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.host import PluginHost
from lpcm.report.table import print_run
from lpcm.study.runner import Runner
from lpcm.study.spec import Study

from .conftest import TOY

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 230)}
LIGHT = {"bright": 1.0, "dim": 0.6, "dusky": 0.3}
RULES = "training-domain,leave-one-domain-out,oracle"


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Noisy patches of three colours under three lights, as a folder of domains."""
    root = tmp_path_factory.mktemp("data") / "patches"
    for domain, light in LIGHT.items():
        for name, rgb in COLOURS.items():
            (root / domain / name).mkdir(parents=True)
            for i in range(7):
                noise = Key.of(0).fold(domain, name, i).generator().normal(0, 60, (8, 8, 3))
                pixels = np.clip(light * np.array(rgb) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / domain / name / f"{i}.png")
    return root


@pytest.fixture
def run_domains(run_toy, patches):
    def run(**changes):
        asked = {
            "task": "domains",
            "dataset": f"folder:{patches}",
            "shots": None,
            "disentangler": "none,whiten,ica",
            "seeds": "1",
            "set": [f"domains.rule={RULES}"],
        }
        return run_toy(**{**asked, **changes})

    return run


def test_every_target_and_rule_has_rows_and_an_average(run_domains):
    run = run_domains()
    assert run.exit_code == 0
    assert len(run.rows) == 3 * (1 + 3 * 3)
    assert {row["n"] for row in run.rows} == {21}
    assert {row["cell"]["target"] for row in run.rows if row["oracle"]} == set(LIGHT)
    assert all(row["oracle"] == (row["cell"]["rule"] == "oracle") for row in run.rows)
    pooled = [row for row in run.summary if row["level"] == "pooled"]
    assert len(pooled) == 1 + 3 * 3
    assert all(set(row["parts"]) == set(LIGHT) and row["n"] == 63 for row in pooled)
    assert max(row["value"] for row in pooled) > 0.6  # chance is a third
    assert all("to_source" in row["gap"] for row in pooled)
    for row in pooled:
        assert row["oracle"] == (row["cell"]["rule"] == "oracle")


def test_the_table_says_what_is_an_oracle_and_whether_ica_beats_whitening(run_domains):
    run = run_domains()
    out = io.StringIO()
    print_run(Console(file=out, width=160, soft_wrap=True), run.rows, run.summary)
    assert "oracle lines (3 of 10): settings were chosen on the labels" in out.getvalue()
    assert (
        "ICA against PCA-whitening to the same width, average over 3 targets: no difference" in out.getvalue()
    )
    assert out.getvalue().count("domains: ") == 1


def test_another_target_or_rule_runs_only_the_new_cells(run_domains):
    one = run_domains(set=["domains.target=dim"])
    all_of_them = run_domains()
    keys = {row["key"] for row in one.rows}
    assert keys < {row["key"] for row in all_of_them.rows}
    assert [row for row in all_of_them.rows if row["key"] in keys] == list(one.rows)


def test_other_sources_make_other_rows(run_domains):
    one = run_domains(set=["domains.target=dim"])
    other = run_domains(set=["domains.target=dim", "domains.sources=dusky"])
    assert not {row["key"] for row in one.rows} & {row["key"] for row in other.rows}
    assert all(row["facts"]["sources"] == ["dusky"] for row in other.rows)


def test_a_rule_that_cannot_be_followed_is_a_row_and_the_others_go_on(run_domains):
    run = run_domains(set=[f"domains.rule={RULES}", "domains.sources=dim", "domains.target=dusky"])
    by_rule = {}
    for row in run.rows:
        by_rule.setdefault(row["cell"]["rule"], set()).add(row["status"])
    failed = [row for row in run.rows if row["status"] == "failed"]
    assert by_rule == {
        "none": {"done"}, "training-domain": {"done"}, "leave-one-domain-out": {"failed"}, "oracle": {"done"},
    }  # fmt: skip
    assert "there is one: 'dim'" in failed[0]["error"]["message"]
    assert run.exit_code == 1


def test_shots_that_a_domain_has_not_are_named(run_domains):
    run = run_domains(shots="2,5", set=["domains.target=dim"], disentangler="none")
    failed = {row["cell"]["shots"]: row["error"]["message"] for row in run.rows if row["status"] == "failed"}
    assert list(failed) == [5]
    assert "'blue' in 'bright' has 7" in failed[5]


def test_a_dataset_without_domains_is_one_failed_row(run_domains, patches):
    run = run_domains(dataset=f"toy,folder:{patches}", set=["domains.target=dim"], disentangler="none")
    (failed,) = [row for row in run.rows if row["status"] == "failed"]
    assert "dataset 'toy' has no domains" in failed["error"]["message"]
    assert sum(row["status"] == "done" for row in run.rows) == 2


def test_a_domain_that_is_not_there_stops_the_study_with_the_nearest(run_domains):
    with pytest.raises(UsageError, match="has a domain 'dimm'") as caught:
        run_domains(set=["domains.target=dimm"])
    assert "did you mean 'dim'" in caught.value.hint


def test_domains_with_test_images_only_are_tested_among_their_own_classes(tmp_path):
    host = PluginHost.discover(files=[TOY, TOY.with_name("shift_plugin.py")])
    asked = {"encoder": "toy", "task": "domains", "dataset": "shift", "disentangler": "none", "seeds": "1"}
    run = Runner(host, tmp_path / "store").run(Study.parse(asked, "test"), tmp_path / "run")
    assert run.exit_code == 0
    rows = {row["cell"]["target"]: row for row in run.rows if row["cell"]["rule"] == "training-domain"}
    assert {name: (row["n"], row["null"]["chance"]) for name, row in rows.items()} == {
        "clear": (20, 0.25),
        "noisy": (28, 0.25),
        "some": (22, 0.5),
    }
    assert all(row["facts"]["sources"] == ["clear"] for row in rows.values())
    assert all(row["facts"]["train_rows"] + row["facts"]["val_rows"] == 36 for row in rows.values())
    assert rows["some"]["details"]["per_class"][0] is None
    predicted = load_file(run.folder / "outcomes" / f"{rows['some']['key']}.safetensors")["predictions"]
    assert set(predicted.tolist()) <= {1, 3}
    (pooled,) = [r for r in run.summary if r["level"] == "pooled" and r["cell"]["rule"] == "training-domain"]
    assert pooled["null"]["chance"] == pytest.approx(1 / 3, abs=1e-12)
