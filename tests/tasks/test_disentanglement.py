"""The disentanglement task: which cells, what it fits, what stands beside a value, and what it says of bad input."""

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from lpcm.disentanglers.haar import haar
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.metrics.labelled import class_and_domain
from lpcm.metrics.records import RECORDS as METRIC_RECORDS
from lpcm.plugin.contracts import Block
from lpcm.plugin.records import Kind
from lpcm.plugin.truth import FactorKind, Factors, Truth
from lpcm.tasks.disentanglement import METRICS, OF_LABELS, DisentanglementTask, about_codes, usable
from lpcm.tasks.records import RECORDS
from lpcm.testing.report import Outcome
from lpcm.testing.spy import SpyBench
from lpcm.testing.subject import Subject, run_check
from lpcm.testing.task import CHECKS

D = 7
NAMES = ("shape", "size", "depth", "hue")
KINDS = tuple(FactorKind(kind) for kind in ("categorical", "continuous", "continuous", "angle"))


def world(n, key):
    """Factors, and features that hold them as independent sources of their own laws, mixed."""
    generator = key.fold("world").generator()
    size, depth = generator.random(n), generator.laplace(size=n)
    shape, hue = generator.integers(0, 2, n), 2 * np.pi * generator.random(n)
    sources = np.column_stack(
        [shape, size, depth, np.cos(hue), np.sin(hue), generator.laplace(size=(n, 2))]
    ).astype(np.float64)
    sources = (sources - sources.mean(0)) / sources.std(0)
    mix = haar(D, Key.of(9).generator()) * np.linspace(1, 2, D)
    values = np.column_stack([shape, size, depth, hue]).astype(np.float64)
    return Factors(NAMES, KINDS, values), (sources @ mix).astype(np.float32)


class FactorBench:
    """A bench that knows factors; ``asked`` holds the rows of the unmixing."""

    def __init__(self, disentangler="none", seed=0, known=True):
        self.key = Key.of(seed).fold("cell", "digest")
        self.classes = ("only",)
        self.asked = None
        self._disentangler, self._known = disentangler, known
        self._factors, self._features = world(701, Key.of(1))

    def block(self, split):
        assert split == "train"
        n = len(self._features)
        return Block(self._features, np.zeros(n, np.int64), tuple(map(str, range(n))), ("",) * n)

    def factors(self, split):
        assert split == "train"
        return self._factors if self._known else None

    def metric(self, name, **settings):
        (record,) = [record for record in METRIC_RECORDS if record.name == name]
        module, _, attribute = record.loader.partition(":")
        return getattr(import_module(module), attribute)(**settings)

    def disentangler(self, rows, key, **settings):
        from lpcm.disentanglers.records import RECORDS as DISENTANGLERS

        self.asked = rows
        (record,) = [record for record in DISENTANGLERS if record.name == self._disentangler]
        module, _, attribute = record.loader.partition(":")
        return getattr(import_module(module), attribute)(random_state=key.random_state(), **settings).fit(
            rows
        )


TEST_FACTORS, TEST_FEATURES = world(301, Key.of(2))


def scored(
    metric="mcc", disentangler="none", seed=0, factors=TEST_FACTORS, features=TEST_FEATURES, **settings
):
    task = DisentanglementTask(**{"draws": 8, "nulls": 2, **settings})
    fitted = task.fit(FactorBench(disentangler, seed), {"metric": metric, "disentangler": disentangler})
    return fitted.score(fitted.predict(features), factors, 1)


def test_cells_are_the_product_with_the_metrics_of_a_fit_together():
    axes = {"encoder": ["e", "f"], "dataset": ["s"], "disentangler": ["none", "ica"], "seed": [0, 1]}
    cells = list(DisentanglementTask(metrics=("mcc", "sap")).cells(axes))
    assert len(cells) == len({tuple(cell.items()) for cell in cells}) == 2 * 2 * 2 * 2
    assert list(cells[0]) == ["encoder", "dataset", "disentangler", "metric", "seed"]
    assert [cell["metric"] for cell in cells[:2]] == ["mcc", "sap"]
    assert len({(c["disentangler"], c["seed"]) for c in cells[:2]}) == 1


def test_the_metrics_of_a_study_go_before_the_tasks():
    axes = {"encoder": ["e"], "dataset": ["s"], "metric": ["r2", "r2"]}
    assert {c["metric"] for c in DisentanglementTask().cells(axes)} == {"r2"}
    assert {c["metric"] for c in DisentanglementTask().cells({**axes, "metric": []})} == set(METRICS)
    assert {c["metric"] for c in DisentanglementTask(metrics="mig").cells({**axes, "metric": ()})} == {"mig"}


def test_the_record_lists_what_the_task_takes():
    (record,) = [record for record in RECORDS if record.name == "disentanglement"]
    task = DisentanglementTask(**{param.name: param.default for param in record.params})
    assert task.metrics == METRICS
    assert set(METRICS) <= {record.name for record in METRIC_RECORDS}
    assert Kind.ADAPTER not in record.axes
    assert task.truth is Truth.FACTORS


def test_the_unmixing_sees_training_features_alone():
    bench = FactorBench("ica")
    fitted = DisentanglementTask().fit(bench, {"metric": "mcc", "disentangler": "ica"})
    assert bench.asked.tobytes() == bench.block("train").features.tobytes()
    assert fitted.facts["fit_rows"] == 701
    assert fitted.facts["factors"]["hue"] == "angle"
    assert json.loads(json.dumps(fitted.facts)) == fitted.facts
    assert fitted.predict(TEST_FEATURES).shape == (301, D)


@pytest.mark.parametrize("metric", [*METRICS, "explicitness", "mcc-spearman", "r2-adjusted"])
def test_a_score_comes_with_nulls_ceiling_draws_and_details(metric):
    score = scored(metric)
    assert score.metric == metric
    assert set(score.null) == {"permutation", "rotation"}
    assert set(score.ceiling) == {"factors as numbers", "factors as indicators"}
    assert score.outcomes is None
    assert score.draws.shape == (8,)
    assert np.isfinite([score.value, *score.null.values(), *score.ceiling.values(), *score.draws]).all()
    assert json.loads(json.dumps(dict(score.details))) == score.details
    assert score.details["factors"]["shape"] == "categorical, 2 values"
    assert (score.details["k"], score.details["samples"], score.details["notes"]) == (D, 301, [])


@pytest.mark.parametrize("metric", ["dci-d", "mcc", "stumps", "l1-probe", "top-m"])
def test_ica_beats_whitening_and_its_own_rotation_where_sources_are_independent(metric):
    ica, white = scored(metric, "ica"), scored(metric, "whiten")
    assert ica.value > white.value + 0.1
    assert ica.value > ica.null["rotation"] + 0.1
    assert ica.value > ica.null["permutation"] + 0.3
    # Halves are the same for both, so that draws can be subtracted pair by pair.
    assert ((ica.draws - white.draws) > 0).all()


def test_what_is_blind_to_rotations_cannot_tell_ica_from_whitening():
    ica, white = scored("r2", "ica"), scored("r2", "whiten")
    assert ica.value == pytest.approx(white.value, abs=1e-5)  # codes are float32
    assert ica.null["rotation"] == pytest.approx(ica.value, abs=1e-6)


def test_the_same_cell_gives_the_same_numbers_and_another_seed_the_same_halves():
    one, again, other = scored("mcc", "ica"), scored("mcc", "ica"), scored("mcc", "ica", seed=1)
    assert (one.value, one.null, one.draws.tobytes()) == (again.value, again.null, again.draws.tobytes())
    assert one.null != other.null
    # Another start of FastICA finds the same axes to its tolerance, and they meet the same halves.
    assert np.allclose(one.draws, other.draws, atol=0.02)


def test_draws_spread_as_the_metric_does_over_test_sides():
    values = []
    for seed in range(3, 15):
        factors, features = world(301, Key.of(seed))
        values.append(scored("mcc", draws=2, nulls=1, factors=factors, features=features).value)
    draws = scored("mcc", draws=60, nulls=1).draws
    # Twelve test sides know the standard deviation to 21 %: a factor of 2.2 is three of those from either.
    assert np.std(values) / 2.2 < draws.std() < 2.2 * np.std(values)


def test_factors_that_are_constant_over_the_test_side_are_left_out_and_named():
    values = TEST_FACTORS.values.copy()
    values[:, 1] = 0.5
    score = scored(factors=Factors(NAMES, KINDS, values))
    assert score.details["notes"] == ["left out, being constant over the test samples: size"]
    assert set(score.details["per_factor"]) == {"shape", "depth", "hue"}
    with pytest.raises(DataError, match="all 4 factors are constant over the 301 test samples"):
        scored(factors=Factors(NAMES, KINDS, np.ones((301, 4))))


def test_codes_that_repeat_themselves_or_rest_are_named():
    from lpcm.metrics.comparison import Comparison

    codes = np.column_stack([TEST_FEATURES, TEST_FEATURES[:, :2], np.ones((301, 3))])
    notes = about_codes(Comparison.in_order(TEST_FACTORS, codes))
    assert notes == [
        "3 of 12 components are constant over the test samples",
        "9 components that vary span only 7 dimensions of 301 samples: some are combinations of others",
    ]
    few = about_codes(Comparison.in_order(TEST_FACTORS, TEST_FEATURES[:, :2]))
    assert few == ["2 components cannot hold 4 factors one by one"]


def test_codes_that_are_not_finite_are_refused():
    fitted = DisentanglementTask().fit(FactorBench(), {"metric": "mcc"})
    codes = TEST_FEATURES.copy()
    codes[5, 2] = np.nan
    with pytest.raises(DataError, match="NaN or infinity in 1 of 301 rows and 1 of 7 components"):
        fitted.score(codes, TEST_FACTORS, 1)


def test_too_few_samples_are_refused_and_few_have_no_interval():
    rows = np.arange(31)
    score = scored(factors=TEST_FACTORS.take(rows), features=TEST_FEATURES[rows])
    assert score.draws is None
    assert score.details["notes"] == [
        "no interval: fewer than 2 of 8 random halves of 31 samples can be scored"
    ]
    with pytest.raises(DataError, match="19 samples were given: expected at least 20"):
        scored(factors=TEST_FACTORS.take(rows[:19]), features=TEST_FEATURES[:19])


def test_what_half_of_the_samples_cannot_answer_is_said():
    wide = np.column_stack([TEST_FEATURES, Key.of(3).generator().standard_normal((301, 180))])
    task = DisentanglementTask(draws=4, nulls=1)
    fitted = task.fit(FactorBench(), {"metric": "r2-adjusted"})
    score = fitted.score(wide, TEST_FACTORS, 1)
    assert score.draws is None
    assert score.details["notes"][0].startswith(
        "no interval: on half of the samples, 150 samples leave nothing"
    )


def test_a_dataset_without_factors_is_refused_with_a_way_out():
    with pytest.raises(DataError, match="knows no factors") as raised:
        DisentanglementTask().fit(FactorBench(known=False), {"metric": "mcc"})
    assert "rendered" in raised.value.hint
    fitted = DisentanglementTask().fit(FactorBench(), {"metric": "mcc"})
    with pytest.raises(DataError, match="nothing is known of the test side"):
        fitted.score(TEST_FEATURES, None, 1)


def test_class_and_domain_serve_where_nothing_else_is_known_and_the_row_says_so():
    bench = FactorBench(known=False)
    original = bench.block
    styles = tuple("ab"[i % 2] for i in range(701))
    bench.block = lambda split: replace(original(split), labels=np.arange(701) % 3, domains=styles)
    fitted = DisentanglementTask(draws=3, nulls=1).fit(bench, {"metric": "mcc"})
    assert fitted.warnings == ("the dataset knows no factors: class and domain are taken for them",)
    truth = class_and_domain(np.arange(301) % 3, tuple("ab"[i % 2] for i in range(301)))
    score = fitted.score(TEST_FEATURES, truth, 3)
    assert score.details["factors"] == {"class": "categorical, 3 values", "domain": "categorical, 2 values"}


def test_metrics_of_labels_are_left_out_where_others_are_asked_for():
    axes = {"encoder": ["e"], "dataset": ["s"], "metric": ["accuracy", "mcc", "lpcm:balanced-accuracy"]}
    assert {c["metric"] for c in DisentanglementTask().cells(axes)} == {"mcc"}
    assert {c["metric"] for c in DisentanglementTask().cells({**axes, "metric": ["accuracy"]})} == {
        "accuracy"
    }
    labelled = {r.name for r in METRIC_RECORDS if r.name in OF_LABELS}
    assert labelled == {
        r.name
        for r in METRIC_RECORDS
        if getattr(FactorBench().metric(r.name), "truth", None) is not Truth.FACTORS
    }


def test_a_metric_of_labels_is_refused_with_some_that_serve():
    with pytest.raises(UsageError, match="'accuracy' does not score codes against factors") as raised:
        DisentanglementTask().fit(FactorBench(), {"metric": "accuracy"})
    assert "dci-d" in raised.value.hint


def test_a_metric_from_outside_is_scored_by_calling_it():
    class Outside:
        truth = Truth.FACTORS
        card = "how far the first component is from zero"

        def __call__(self, truth, prediction):
            assert truth.names == NAMES
            return float(np.abs(prediction[:, 0]).mean())

    bench = FactorBench()
    bench.metric = lambda name: Outside()
    fitted = DisentanglementTask(draws=3, nulls=1).fit(bench, {"metric": "outside"})
    score = fitted.score(TEST_FEATURES, TEST_FACTORS, 1)
    assert score.value == pytest.approx(float(np.abs(TEST_FEATURES[:, 0]).mean()), rel=1e-6)  # float32 codes
    assert score.null["permutation"] == pytest.approx(score.value, rel=1e-12)


def test_what_did_not_converge_is_a_warning_of_the_row():
    bench = FactorBench("ica")
    original = bench.disentangler
    bench.disentangler = lambda rows, key: original(rows, key, max_iter=1)
    fitted = DisentanglementTask().fit(bench, {"metric": "mcc"})
    assert any("FastICA did not converge" in warning for warning in fitted.warnings)
    assert "warnings" not in fitted.facts["disentangler"]


@pytest.mark.parametrize("settings", [{"metrics": ()}, {"draws": 1}, {"nulls": 0}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(UsageError, match="expected"):
        DisentanglementTask(**settings)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_task_keeps_the_promises_of_the_kit(check, monkeypatch):
    monkeypatch.setattr(SpyBench, "metric", lambda self, name: FactorBench().metric(name))
    (record,) = [record for record in RECORDS if record.name == "disentanglement"]
    outcome = run_check(check, Subject.of_object(record, DisentanglementTask))
    assert outcome.outcome is not Outcome.FAILED, outcome.detail


def test_usable_leaves_good_factors_as_they_are():
    assert usable(TEST_FACTORS) == (TEST_FACTORS, [])
