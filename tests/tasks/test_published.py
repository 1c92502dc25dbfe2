"""``--protocol published``: each adapter's own rule, test labels only where it used them, and the row says so."""

import json

import numpy as np
import pytest

from lpcm.adapters.published import LooksAt, Published
from lpcm.adapters.records import RECORDS as ADAPTERS
from lpcm.adapters.tip_adapter_f import TipAdapterF
from lpcm.cli.main import main
from lpcm.errors import SealError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block
from lpcm.tasks.fewshot import FewShot
from lpcm.tasks.published_rule import UNSTATED, selection_rows

from .conftest import CLASSES, TEST, TRAIN, VAL, RecordingBench, loaded

CELL = {"disentangler": "none", "adapter": "tip-adapter", "shots": 2, "seed": 0}
TIP_SPLIT = "whole validation split"

# What needs a text tower is trained elsewhere; the rest is quick at this size.
NAMES = [record.name for record in ADAPTERS if record.name not in ("zero-shot", "coop")]
LOOKED = {"tip-adapter-f", "cca-ft"}
"""Rules that look at test labels of any dataset."""
SPLIT = {"tip-adapter", "ape", "ape-t", "gda", "cca"}
"""Rules that do where there is no validation split."""

ONLY_TRAIN = {"train": TRAIN}


def fitted(adapter, *, protocol="published", blocks=None, disentangler="none"):
    bench = RecordingBench(adapter=adapter, text=True, blocks=blocks, disentangler=disentangler)
    axes = {**CELL, "adapter": adapter, "disentangler": disentangler}
    return FewShot(protocol=protocol).fit(bench, axes), bench.asked


@pytest.mark.parametrize("protocol", ["clean", "beyond-dags"])
@pytest.mark.parametrize("adapter", ["linear-probe", "tip-adapter-f", "cca-ft"])
@pytest.mark.parametrize("blocks", [None, ONLY_TRAIN])
def test_no_other_protocol_ever_asks_for_test_labels(protocol, adapter, blocks):
    made, asked = fitted(adapter, protocol=protocol, blocks=blocks)
    assert "oracle" not in asked
    assert "published_rule" not in made.facts
    assert not FewShot(protocol=protocol).oracle(CELL)


@pytest.mark.parametrize("adapter", NAMES)
def test_test_labels_are_asked_for_where_the_rule_looked_at_them_and_nowhere_else(adapter):
    with_split, asked = fitted(adapter)
    assert ("oracle" in asked) == (adapter in LOOKED)
    without_split, asked_without = fitted(adapter, blocks=ONLY_TRAIN)
    assert ("oracle" in asked_without) == (adapter in LOOKED | SPLIT)
    for made, looked in ((with_split, adapter in LOOKED), (without_split, adapter in LOOKED | SPLIT)):
        assert made.selection.startswith("oracle, by test labels; as published: ") == looked
        assert bool(made.facts.get("leaks")) == looked
        assert json.loads(json.dumps(made.facts)) == made.facts


def test_the_task_says_which_cells_may_look():
    task = FewShot(protocol="published")
    assert task.oracle(CELL)
    assert not task.oracle({**CELL, "shots": 0})  # the reference learns nothing


def test_every_adapter_of_the_literature_states_its_rule_and_settings_that_it_has():
    unstated = set()
    for record in ADAPTERS:
        rule = getattr(loaded(ADAPTERS, record.name), "published", None)
        if rule is None:
            unstated.add(record.name)
            continue
        assert isinstance(rule, Published)
        assert set(rule.settings) <= {param.name for param in record.params}
        assert rule.rule
        assert rule.source
        assert not rule.rule.endswith(".")
    assert unstated == {"linear-probe-l1", "linear-probe-elastic"}


def test_an_adapter_without_a_rule_is_chosen_cleanly_and_says_so():
    made, asked = fitted("linear-probe-l1")
    assert made.facts["published_rule"] == UNSTATED
    assert "oracle" not in asked
    assert made.selection == fitted("linear-probe-l1", protocol="clean")[0].selection


def test_the_whole_validation_split_is_looked_at():
    made, _ = fitted("tip-adapter")
    assert made.facts["settings_chosen_on"] == f"the {TIP_SPLIT}"
    assert (made.facts["val_rows"], made.facts["selection_rows"]) == (10, len(VAL))
    assert TIP_SPLIT in made.selection
    few, _ = fitted("linear-probe")
    assert few.facts["selection_rows"] == few.facts["val_rows"] == 10


def test_a_rule_without_leak_keeps_its_settings():
    made, asked = fitted("taskres")
    assert asked["adapter"] == {"alpha": 0.5, "keep": "last"}
    assert made.facts["adapter"]["epoch"] == made.facts["adapter"]["epochs"]
    assert "leaks" not in made.facts


def test_rows_to_choose_on_go_through_the_disentangler():
    made, _ = fitted("tip-adapter-f", disentangler="whiten")
    assert made.predict(TEST.features).shape == (len(TEST),)


# --- what it is worth ------------------------------------------------------------------------------


def misleading():
    """Training rows of which those held for validation lie: settings chosen there are bad ones.

    Half of the classes' rows are labelled by their neighbour, so that whatever agrees with the rows that are held
    is wrong on test.
    """
    generator = Key.of(5).fold("lies").generator()
    labels = TRAIN.labels.copy()
    lies = generator.random(len(labels)) < 0.5
    labels[lies] = (labels[lies] + 1) % len(CLASSES)
    return {"train": Block(TRAIN.features, labels, TRAIN.ids, TRAIN.domains)}


@pytest.mark.parametrize("adapter", ["tip-adapter", "tip-adapter-f", "ape", "ape-t", "gda", "cca", "cca-ft"])
def test_an_oracle_is_never_below_the_clean_choice_from_the_same_grid(adapter):
    task, blocks = FewShot(protocol="published"), misleading()
    oracle, _ = fitted(adapter, blocks=blocks)
    rule = loaded(ADAPTERS, adapter).published
    # The same settings and shots; only the rows that are chosen on differ.
    bench = RecordingBench(adapter=adapter, text=True, blocks=blocks)
    bench.adapter = lambda **_: loaded(ADAPTERS, adapter)(**rule.settings)
    clean = FewShot().fit(bench, {**CELL, "adapter": adapter})

    def value(made):
        return task.score(made.predict(TEST.features), TEST.labels, len(CLASSES)).value

    assert value(oracle) >= value(clean)
    if adapter not in ("tip-adapter", "tip-adapter-f"):  # their published grid begins where both choose
        assert value(oracle) > value(clean)


def test_the_larger_of_two_test_accuracies_is_reported():
    rows = TRAIN.take(np.arange(0, len(TRAIN), 7))
    text = RecordingBench(text=True).prompts()

    def right(made):
        return int((made.logits(TEST.features).argmax(1) == TEST.labels).sum())

    def made(**settings):
        return TipAdapterF(search="published", train_alpha=1.17, train_beta=1.0, **settings).fit(
            rows.features,
            rows.labels,
            classes=len(CLASSES),
            key=Key.of(0),
            val=(VAL.features, VAL.labels),
            text=text,
            oracle=(TEST.features, TEST.labels),
        )

    trained = made(alpha=1.17, beta=1.0)  # nothing is searched
    searched = made()
    assert searched.report()["reported"] in ("as trained", "after the search")
    assert right(searched) >= right(trained)
    assert (right(searched) > right(trained)) == (searched.report()["reported"] == "after the search")


def test_rules_that_need_no_test_label_do_not_call_for_any():
    def sealed():
        raise SealError("asked for")

    rule = Published(settings_on=LooksAt.SPLIT, rule="r", source="s")
    assert selection_rows(rule, adapter="a", few=VAL, split=VAL, test=sealed).val is VAL
    with pytest.raises(SealError):
        selection_rows(rule, adapter="a", few=VAL, split=None, test=sealed)


# --- a whole run -----------------------------------------------------------------------------------


@pytest.fixture
def run_published(tmp_path, capsys):
    centres = Key.of(0).fold("centres").generator().standard_normal((len(CLASSES), TRAIN.features.shape[1]))
    file = tmp_path / "rows.npz"
    np.savez(
        file,
        features=np.concatenate([TRAIN.features, VAL.features, TEST.features]),
        labels=np.concatenate([TRAIN.labels, VAL.labels, TEST.labels]),
        ids=np.array([*TRAIN.ids, *VAL.ids, *TEST.ids]),
        split=np.array(["train"] * len(TRAIN) + ["val"] * len(VAL) + ["test"] * len(TEST)),
        classes=np.array(CLASSES),
        texts=np.array(CLASSES),
        text_features=centres.astype(np.float32),
    )

    def run(protocol):
        out = tmp_path / protocol
        code = main(
            [
                *("--encoder", f"features:{file}", "--dataset", f"features:{file}", "--task", "fewshot"),
                *("--adapter", "tip-adapter-f,taskres", "--shots", "2", "--seeds", "1"),
                *("--protocol", protocol, "--store", str(tmp_path / "store"), "--out", str(out)),
            ]
        )
        rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
        assert code == 0
        return {row["cell"]["adapter"]: row for row in rows}, capsys.readouterr().out

    return run


def test_rows_and_tables_say_which_numbers_are_oracles(run_published):
    rows, table = run_published("published")
    assert {name: row["oracle"] for name, row in rows.items()} == {
        "zero-shot": False,
        "tip-adapter-f": True,
        "taskres": False,
    }
    assert "oracle" in table
    assert "tip-adapter-f chose its epoch, and between two answers, by test accuracy" in " ".join(
        table.split()
    )
    clean, table = run_published("clean")
    assert not any(row["oracle"] for row in clean.values())
    assert "oracle" not in table
