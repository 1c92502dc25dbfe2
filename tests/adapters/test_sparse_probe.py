"""The sparse probes choose C on validation, leave features out, and see what an L2 probe cannot: the axes."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lpcm.adapters.sparse_probe import MULTIPLES, ElasticProbe, L1Probe
from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.whiten import Whiten
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.testing import check_adapter

from .drawn import CLASSES, TEST, TRAIN, VAL

PROBES = pytest.mark.parametrize("probe", [L1Probe, ElasticProbe])


def fitted(probe, train=TRAIN, val=VAL, **settings):
    return probe(**settings).fit(*train, classes=CLASSES, key=Key.of(0), val=val)


@check_adapter("linear-probe-l1")
def test_l1_keeps_the_promises_of_an_adapter(check):
    check()


@check_adapter("linear-probe-elastic")
def test_elastic_keeps_the_promises_of_an_adapter(check):
    check()


@pytest.mark.parametrize(("probe", "l1_ratio"), [(L1Probe, 1.0), (ElasticProbe, 0.5)])
def test_logits_are_those_of_scikit_learn_on_scaled_rows(probe, l1_ratio):
    ours = fitted(probe, C=3.0, gap=1e-9, max_iter=20_000)
    scale = ours.report()["scale"]
    model = LogisticRegression(
        C=3.0, l1_ratio=l1_ratio, solver="saga", tol=1e-8, max_iter=100_000, random_state=0
    ).fit(TRAIN[0].astype(float) / scale, TRAIN[1])
    expected = model.decision_function(TEST[0].astype(float) / scale)
    logits = ours.logits(TEST[0])
    # A common shift of all classes is free. Logits are of order 5; an objective within 1e-9 of its minimum
    # leaves weights within about the root of that.
    np.testing.assert_allclose(
        logits - logits.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=2e-3
    )


@PROBES
def test_c_is_the_best_of_the_grid_on_validation_rows(probe):
    report = fitted(probe).report()
    assert json.loads(json.dumps(report)) == report
    assert report["converged"]
    multiples = np.array(MULTIPLES)
    assert np.isclose(multiples, report["multiple_of_empty_C"]).sum() == 1
    empty = report["C"] / report["multiple_of_empty_C"]
    accuracies = {}
    for multiple in multiples[: 1 + int(np.argmin(np.abs(multiples - report["multiple_of_empty_C"])))]:
        one = fitted(probe, C=float(multiple * empty), val=None)
        accuracies[multiple] = np.mean(one.logits(VAL[0]).argmax(1) == VAL[1])
    # Warm and cold solutions are both within the gap of 1e-4, so one borderline row may fall either way.
    assert report["val_accuracy"] >= max(accuracies.values()) - 1.01 / len(VAL[1])


@PROBES
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_scaling_all_features_changes_nothing(probe, factor):
    factor = np.float32(factor)
    scaled = fitted(probe, (TRAIN[0] * factor, TRAIN[1]), (VAL[0] * factor, VAL[1]))
    plain = fitted(probe)
    assert scaled.report()["C"] == pytest.approx(plain.report()["C"], rel=1e-5)
    # float32 rounding of the scaled features, and through it other steps to within the same gap
    np.testing.assert_allclose(scaled.logits(TEST[0] * factor), plain.logits(TEST[0]), atol=0.05)


def test_l1_uses_fewer_features_than_elastic_net_at_strong_penalty():
    width = TRAIN[0].shape[1]
    sparse = fitted(L1Probe, grid=(2.0,)).report()
    assert 0 < sparse["used_features"] < width
    assert sparse["nonzero_weights"] < fitted(ElasticProbe, grid=(2.0,)).report()["nonzero_weights"]


def test_on_unmixed_sources_an_l1_probe_needs_fewer_weights_than_on_whitened_ones():
    # Each class is told by one heavy-tailed source: after unmixing one weight a class says most of it.
    generator = Key.of(0).fold("sources").generator()
    sources = generator.laplace(size=(801, 9))
    labels = np.abs(sources[:, :CLASSES]).argmax(1)
    X = (np.abs(sources) @ generator.standard_normal((9, 17))).astype(np.float32)
    used = {}
    for made in (Whiten(k=9), ICA(k=9, random_state=0)):
        made.fit(X)
        rows = made.transform(X)
        probe = L1Probe(grid=(2.0,)).fit(
            rows[:601], labels[:601], classes=CLASSES, key=Key.of(0), val=(rows[601:], labels[601:])
        )
        used[type(made).__name__] = probe.report()["nonzero_weights"]
    assert used["ICA"] < 0.6 * used["Whiten"]


@PROBES
def test_a_class_without_rows_is_never_predicted(probe):
    keep = TRAIN[1] != 3
    one = fitted(probe, (TRAIN[0][keep], TRAIN[1][keep]))
    logits = one.logits(TEST[0])
    assert np.isneginf(logits[:, 3]).all()
    assert np.isfinite(np.delete(logits, 3, axis=1)).all()
    assert one.report()["val_accuracy"] <= np.mean(VAL[1] != 3)


def test_a_probe_that_is_cut_short_warns():
    report = fitted(L1Probe, C=1e3, max_iter=1).report()
    assert not report["converged"]
    assert "larger linear-probe-l1.max_iter" in report["warnings"][0]


def test_c_cannot_be_chosen_without_validation():
    with pytest.raises(UsageError, match="linear-probe-l1 chooses C on validation"):
        fitted(L1Probe, val=None)
    assert fitted(L1Probe, val=None, C=2.0).selection == "C fixed at 2"


def test_rows_that_cannot_be_learnt_from_are_refused():
    with pytest.raises(DataError, match="rows of 1 class"):
        fitted(L1Probe, (TRAIN[0], np.zeros(65, int)))
    with pytest.raises(DataError, match="all the same"):
        fitted(L1Probe, (np.ones_like(TRAIN[0]), TRAIN[1]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"C": 0.0}, "C is 0.0"),
        ({"grid": (1.0, 2.0)}, "grid is"),
        ({"l1_ratio": 0.0}, "l1_ratio is 0.0"),
        ({"gap": 0.0}, "gap is 0.0"),
    ],
)
def test_wrong_settings_say_what_is_expected(settings, message):
    with pytest.raises(UsageError, match=message):
        ElasticProbe(**settings)
