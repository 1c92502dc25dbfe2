"""The zero-shot task: which cells, what prompts, fair ties, calibration, and that labels change no prediction."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.rotation import RandomRotation
from lpcm.disentanglers.whiten import Whiten
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block, TextPrompts
from lpcm.plugin.host import PluginHost
from lpcm.study.runner import Runner
from lpcm.study.spec import Study
from lpcm.tasks.records import RECORDS
from lpcm.tasks.zeroshot import ZeroShotTask
from lpcm.testing import check_task

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fly", "gnu")
D = 17
MAPS = {"whiten": Whiten, "rotation": RandomRotation, "ica": ICA}


@check_task("zeroshot")
def test_it_keeps_the_promises_of_a_task(check):
    check()


def centres(c=7):
    return Key.of(0).fold("centres").generator().standard_normal((c, D))


def block(split, per_class=11, spread=0.8):
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    noise = Key.of(0).fold(split).generator().laplace(size=(len(labels), D))
    features = 5 * (centres()[labels] + spread * noise)  # not of unit norm, as CLIP's are not
    return Block(
        features.astype(np.float32), labels, tuple(map(str, range(len(labels)))), ("",) * len(labels)
    )


class Bench:
    """Text features of a class are its centre, moved a little by the template."""

    def __init__(
        self, splits=("train", "val"), disentangler="none", classes=CLASSES, allowed=None, text=True
    ):
        self.key, self.classes, self.allowed = Key.of(0), classes, allowed
        self.asked = []
        self._splits, self._map, self._text = splits, disentangler, text

    def splits(self):
        return self._splits

    def block(self, split):
        assert split in self._splits
        return block(split, 7 if split == "val" else 31)

    def prompts(self, templates=None):
        self.asked.append(templates)
        if not self._text:
            return None
        rows = {name: row for row, name in enumerate(dict.fromkeys(self.classes))}
        moved = 0.1 * Key.of(0).fold("templates", str(templates)).generator().standard_normal((len(rows), D))
        vectors = (centres(len(rows)) + moved)[[rows[name] for name in self.classes]]
        return TextPrompts(
            (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32), self.classes
        )

    def disentangler(self, rows, key, **settings):
        self.rows = rows
        return MAPS[self._map](random_state=key.random_state(), **settings).fit(rows)


def cell(disentangler="none", prompts="ensemble"):
    return {"disentangler": disentangler, "prompts": prompts}


def scored(bench, disentangler="none", test=None, **settings):
    test = test or block("test")
    fitted = ZeroShotTask(**settings).fit(bench, cell(disentangler))
    return fitted, fitted.score(fitted.predict(test.features), test.labels, len(bench.classes))


def test_cells_are_prompts_and_disentanglers_with_one_seed_where_nothing_is_drawn():
    axes = {
        "encoder": ["e"],
        "dataset": ["s"],
        "disentangler": ["none", "core:whiten", "ica"],
        "seed": [3, 5],
    }
    cells = [tuple(c.values())[2:] for c in ZeroShotTask(prompts="name,single").cells(axes)]
    assert cells == [
        *[(d, p, 3) for d in ("none", "core:whiten") for p in ("name", "single")],
        *[("ica", p, seed) for p in ("name", "single") for seed in (3, 5)],
    ]


def test_predictions_are_the_classes_of_greatest_cosine():
    test, bench = block("test"), Bench()
    fitted, score = scored(bench)
    text = bench.prompts(None).features
    cosine = [
        [x @ t / np.linalg.norm(x) / np.linalg.norm(t) for t in text] for x in test.features.astype(float)
    ]
    logits = fitted.predict(test.features)
    # Unit rows are rounded to float32: 17 products of relative error 6e-8.
    assert logits / fitted.facts["scale"] == pytest.approx(np.array(cosine), abs=1e-6)
    right = np.argmax(cosine, axis=1) == test.labels
    assert score.outcomes.tolist() == right.tolist()
    assert score.value == pytest.approx(right.mean(), abs=1e-12)
    assert score.value > 0.8  # chance is 1 / 7
    assert score.null == {"chance": 1 / 7, "majority": pytest.approx(1 / 7)}


def test_details_say_what_is_right_and_what_is_taken_for_what():
    test = block("test")
    fitted, score = scored(Bench(), test=test)
    predicted = fitted.predict(test.features).argmax(axis=1)
    details = json.loads(json.dumps(score.details))
    expected = balanced_accuracy_score(test.labels, predicted)
    assert details["mean_class_accuracy"] == pytest.approx(expected, abs=1e-12)
    assert [row[:2] for row in details["class_accuracy"]] == [[name, 11] for name in CLASSES]
    assert details["top5"] >= score.value
    wrong = [(CLASSES[t], CLASSES[p]) for t, p in zip(test.labels, predicted, strict=True) if t != p]
    assert {(t, p): n for t, p, n in details["confusions"]} == {pair: wrong.count(pair) for pair in wrong}
    counts = [n for _, _, n in details["confusions"]]
    assert counts == sorted(counts, reverse=True)


def test_the_scale_is_validations_and_changes_no_prediction():
    test = block("test")
    with_val, scored_val = scored(Bench())
    without, scored_without = scored(Bench(splits=("train",)))
    assert (with_val.facts["scale_from"], without.facts["scale_from"]) == ("validation NLL", "stated")
    assert without.facts["scale"] == 100
    assert (
        with_val.predict(test.features).argmax(1).tolist()
        == without.predict(test.features).argmax(1).tolist()
    )
    assert scored_val.details["calibration"]["nll"] < scored_without.details["calibration"]["nll"]
    stated = scored_val.details["calibration_stated"]
    for name in ("ece", "ece_mass", "brier", "nll"):
        # The same logits but for a factor of float64.
        assert stated[name] == pytest.approx(scored_without.details["calibration"][name], abs=1e-9)
    assert "calibration_stated" not in scored_without.details


@pytest.mark.parametrize("prompts", ["single", "name", "a {}, drawn by a child"])
def test_the_prompts_asked_for_are_those_that_are_encoded(prompts):
    bench = Bench()
    fitted = ZeroShotTask(prompts=prompts).fit(bench, cell(prompts=prompts))
    (templates,) = bench.asked
    assert fitted.facts["templates"] == list(templates)
    assert all(template.count("{}") == 1 for template in templates)


def test_a_class_outside_of_the_test_domain_is_never_predicted():
    test = block("test")
    kept = test.take(np.flatnonzero(np.isin(test.labels, (1, 4))))
    fitted, score = scored(Bench(allowed=(1, 4)), test=kept)
    assert set(fitted.predict(test.features).argmax(axis=1)) == {1, 4}
    assert score.null["chance"] == 0.5
    assert fitted.facts["classes"] == 2
    assert "top5" not in score.details
    with pytest.raises(DataError, match="ruled out"):
        fitted.score(fitted.predict(test.features), test.labels, 7)


def test_classes_with_one_name_share_what_they_get_right_and_are_named():
    classes = ("ant", "bee", "ant", "dog", "eel", "fly", "gnu")
    fitted, score = scored(Bench(classes=classes, splits=("train",)))
    assert any("several classes are called 'ant'" in warning for warning in fitted.warnings)
    logits = fitted.predict(block("test").features)
    assert (logits[:, 0] == logits[:, 2]).all()
    assert set(score.outcomes) == {0.0, 0.5, 1.0}


def test_an_encoder_that_says_nothing_gets_what_chance_gives():
    bench, test = Bench(splits=("train",)), block("test")
    bench.prompts = lambda templates: TextPrompts(np.ones((7, D), np.float32), CLASSES)
    fitted = ZeroShotTask().fit(bench, cell())
    score = fitted.score(fitted.predict(test.features), test.labels, 7)
    assert score.outcomes == pytest.approx(1 / 7, abs=1e-15)
    assert any("the same vector to 'ant' and 'bee' (6 such)" in warning for warning in fitted.warnings)


def test_images_and_texts_go_through_the_map_that_unlabelled_images_were_fitted_on():
    bench = Bench(disentangler="whiten")
    fitted, score = scored(bench, "whiten")
    # Unit rows, else the texts of norm 1 would be a point beside images of norm 20.
    assert np.linalg.norm(bench.rows, axis=1) == pytest.approx(1, abs=1e-6)  # float32
    assert len(bench.rows) == 7 * 31
    assert score.value > 0.5
    assert fitted.facts["similarity"] == "cosine of the components"
    assert set(fitted.facts["modality_gap"]) == {"encoder", "components"}


def test_by_cosine_a_rotation_changes_nothing_and_by_l1_it_does():
    test = block("test")

    def similarities(name, how):
        fitted = ZeroShotTask(similarity=how).fit(Bench(disentangler=name), cell(name))
        return fitted.predict(test.features) / fitted.facts["scale"]

    whiten, ica, rotation = (similarities(name, "cosine") for name in MAPS)
    # Components are handed on as float32.
    assert ica == pytest.approx(whiten, abs=1e-4)
    assert rotation == pytest.approx(whiten, abs=1e-4)
    whiten, ica, rotation = (similarities(name, "l1") for name in MAPS)
    assert abs(ica - whiten).max() > 0.01
    assert abs(rotation - whiten).max() > 0.01


def test_l1_is_the_distance_of_rows_of_l1_norm_1():
    test, bench = block("test"), Bench()
    fitted = ZeroShotTask(similarity="l1").fit(bench, cell())
    x, t = (
        rows / np.abs(rows).sum(1, keepdims=True) for rows in (test.features, bench.prompts(None).features)
    )
    expected = -np.abs(x[:, None].astype(float) - t[None]).sum(axis=2)
    # Rows were rounded to float32 at unit norm.
    assert fitted.predict(test.features) / fitted.facts["scale"] == pytest.approx(expected, abs=1e-6)


def test_texts_far_from_the_images_are_moved_to_them_by_their_own_mean():
    def gap(centre):
        bench = Bench(disentangler="whiten")
        far = bench.prompts(None).features + 3
        bench.prompts = lambda templates: TextPrompts(far, CLASSES)
        return ZeroShotTask(centre=centre).fit(bench, cell("whiten")).facts["modality_gap"]

    kept, moved = gap("fitted"), gap("modality")
    assert kept["encoder"] == moved["encoder"]
    assert moved["components"] < 0.2 < 0.5 < kept["components"]


@pytest.mark.parametrize("prompts", [(), ("nam",), "one {} and {}", "{name}", (3,)])
def test_prompts_that_cannot_be_are_refused(prompts):
    with pytest.raises(UsageError, match="expected ensemble, single, name, or a template"):
        ZeroShotTask(prompts=prompts)
    with pytest.raises(UsageError, match="did you mean 'name'"):
        ZeroShotTask(prompts="nam")


def test_what_cannot_be_run_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="this encoder reads no text"):
        ZeroShotTask().fit(Bench(text=False), cell())
    with pytest.raises(DataError, match="no train split"):
        ZeroShotTask().fit(Bench(splits=()), cell("whiten"))
    with pytest.raises(UsageError, match="did you mean 'cosine'"):
        ZeroShotTask(similarity="cosin")
    with pytest.raises(UsageError, match="did you mean 'modality'"):
        ZeroShotTask(centre="modal")
    fitted = ZeroShotTask().fit(Bench(), cell())
    with pytest.raises(DataError, match="width 3 and text features 17"):
        fitted.predict(np.ones((2, 3), np.float32))
    broken = block("test").features
    broken[2] = np.nan
    with pytest.raises(DataError, match="NaN or infinity in 1 of 77 rows"):
        fitted.predict(broken)


def test_a_dataset_of_a_test_split_alone_is_enough_without_a_disentangler():
    _, score = scored(Bench(splits=()))
    assert score.value > 0.8


def test_the_record_lists_what_the_task_takes():
    (record,) = [record for record in RECORDS if record.name == "zeroshot"]
    given, default = ZeroShotTask(**{p.name: p.default for p in record.params}), ZeroShotTask()
    assert vars(given) == vars(default)


def test_a_whole_run_scores_both_kinds_of_encoder_as_far_as_they_can(tmp_path):
    host = PluginHost.discover(files=[Path(__file__).with_name("pairs_plugin.py")])
    asked = {"encoder": "pair,blind", "dataset": "pets", "task": "zeroshot", "disentangler": "none,whiten"}
    run = Runner(host, tmp_path / "store").run(Study.parse(asked, "test"), None, tmp_path / "runs")
    done = [row for row in run.rows if row["status"] == "done"]
    assert [(r["cell"]["encoder"], r["cell"]["seed"]) for r in done] == [("pair", 0)] * 6
    assert min(row["value"] for row in done) > 0.5  # chance is 0.2
    failed = [row for row in run.rows if row["status"] == "failed"]
    assert len(failed) == 6
    assert all("reads no text" in row["error"]["message"] for row in failed)
