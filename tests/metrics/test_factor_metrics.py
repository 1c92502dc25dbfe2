"""Every disentanglement metric tells perfect, moved, rotated, noise, copied and missing codes apart."""

from importlib import import_module

import numpy as np
import pytest

from lpcm.errors import DataError
from lpcm.keys import Key
from lpcm.metrics.comparison import Comparison
from lpcm.metrics.factor_metric import FactorMetric, grid_example
from lpcm.metrics.records import RECORDS
from lpcm.plugin.truth import Factors

from .conftest import N


def load(record):
    module, _, attribute = record.loader.partition(":")
    return getattr(import_module(module), attribute)


METRICS = {
    record.name: load(record)
    for record in RECORDS
    if isinstance(load(record), type) and issubclass(load(record), FactorMetric)
}
RECORD = {record.name: record for record in RECORDS}

# Cannot tell a rotation of whitened codes by more than what a ridge or a lost component makes.
BLIND = {"r2", "r2-adjusted", "explicitness", "infoe", "dci-i"}
# Whether a copy of each component costs (the factor is no longer in one component alone).
PUNISHES_COPIES = {"mig", "sap", "infoc", "top-m"}
# Whether a factor that is nowhere costs: those that only look at components do not see it.
SEES_MISSING = set(METRICS) - {"dci-d", "modularity", "infom", "irs"}


def value(name, comparison):
    return METRICS[name]().measure(comparison).value


@pytest.fixture(scope="module")
def values(states):
    names = ("perfect", "moved", "rotated", "noise", "copied", "missing", "exact")
    return {name: {state: value(name, getattr(states, state)) for state in names} for name in METRICS}


@pytest.mark.parametrize("name", METRICS)
def test_order_and_signs_of_components_change_nothing(name, values):
    # Solvers of probes stop at a gap, histograms cut ties by rounding; scales of all components together do not count.
    assert values[name]["moved"] == pytest.approx(values[name]["perfect"], abs=2e-3)


@pytest.mark.parametrize("name", METRICS)
def test_perfect_codes_score_above_noise(name, values):
    assert values[name]["perfect"] > values[name]["noise"] + 0.05


@pytest.mark.parametrize("name", sorted(set(METRICS) - BLIND - {"modularity"}))
def test_a_rotation_costs_what_sees_axes(name, values):
    assert values[name]["rotated"] < values[name]["perfect"] - 0.1


def test_a_rotation_costs_modularity_little_where_most_components_are_noise(values):
    assert 0.02 < values["modularity"]["perfect"] - values["modularity"]["rotated"] < 0.3


@pytest.mark.parametrize("name", sorted(BLIND))
def test_a_rotation_costs_nothing_where_the_card_says_blind(name, values):
    # Codes are white but for what chance correlates them on 601 samples, which an L2 penalty can see.
    assert values[name]["rotated"] == pytest.approx(values[name]["perfect"], abs=0.02)


@pytest.mark.parametrize("name", sorted(PUNISHES_COPIES))
def test_copies_cost_where_the_card_says_so(name, values):
    assert values[name]["copied"] < values[name]["perfect"] - 0.05


@pytest.mark.parametrize("name", ["dci-d", "mcc", "r2", "stumps", "l1-probe"])
def test_copies_cost_nothing_elsewhere(name, values):
    assert values[name]["copied"] > values[name]["perfect"] - 0.02


@pytest.mark.parametrize("name", sorted(SEES_MISSING))
def test_a_missing_factor_costs(name, values):
    assert values[name]["missing"] < values[name]["perfect"] - 0.02


@pytest.mark.parametrize("name", ["dci-d", "modularity", "infom", "irs"])
def test_a_missing_factor_costs_nothing_where_components_are_asked(name, values):
    # One of 31 components is another now, and carries noise.
    assert values[name]["missing"] == pytest.approx(values[name]["perfect"], abs=0.05)


@pytest.mark.parametrize(
    "name", ["dci-d", "dci-c", "modularity", "mcc", "mcc-spearman", "infom", "infoc", "irs"]
)
def test_the_factors_themselves_score_nearly_one(name, values):
    assert values[name]["exact"] > 0.85  # an angle as one number is not linear in its cosine and sine


def test_dci_of_noise_is_nothing(values):
    assert [values[name]["noise"] for name in ("dci-d", "dci-c", "dci-i")] == [0, 0, 0]


@pytest.mark.parametrize("name", METRICS)
def test_values_lie_in_the_range_of_card_and_record(name, values):
    low, high = METRICS[name].range
    assert RECORD[name].range == (low, high)
    for state, found in values[name].items():
        assert low <= found <= high, state


@pytest.mark.parametrize("name", METRICS)
def test_the_null_is_what_codes_of_other_samples_score(name, states):
    few = states.perfect.take(np.arange(151))
    null = METRICS[name]().null(Key.of(1), few.factors, few.codes)
    assert null < value(name, few) - 0.02
    assert null == METRICS[name]().null(Key.of(1), few.factors, few.codes)


@pytest.mark.parametrize("name", METRICS)
def test_details_name_every_factor_or_component(name, states):
    details = METRICS[name]().measure(states.perfect).details
    per = details.get("per_factor", details.get("per_component"))
    assert len(per) == (5 if "per_factor" in details else 31)
    if "per_factor" in details:
        assert tuple(per) == states.factors.names


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"r2-adjusted"}))
def test_wide_codes_are_not_listed_component_by_component(name):
    factors, perfect, _ = grid_example(Key.of(0))
    wide = np.column_stack([perfect, Key.of(5).generator().standard_normal((len(perfect), 254))])
    rows = Key.of(6).generator().permutation(len(perfect))[:97]
    details = METRICS[name]().measure(Comparison.in_order(factors, wide).take(rows)).details
    assert "per_component" not in details


@pytest.mark.parametrize("name", METRICS)
def test_constant_components_are_borne(name, states):
    codes = states.perfect.codes.copy()
    codes[:, 20:] = 3
    found = value(name, Comparison.in_order(states.factors, codes))
    assert np.isfinite(found)
    nothing = Comparison.in_order(states.factors, np.ones((N, 2)))
    assert value(name, nothing) < 1e-4  # a logistic solver stops that far from the shares of the levels


@pytest.mark.parametrize("name", METRICS)
def test_one_component_can_be_scored(name, states):
    one = Comparison.in_order(states.factors, states.perfect.codes[:, [4]])
    low, high = METRICS[name].range
    assert low <= value(name, one) <= high


@pytest.mark.parametrize("name", METRICS)
def test_one_factor_is_scored_or_refused_with_the_reason(name, states):
    kept = Factors(states.factors.names[2:3], states.factors.kinds[2:3], states.factors.values[:, 2:3])
    alone = Comparison.in_order(kept, states.perfect.codes)
    if METRICS[name].least_factors == 1:
        assert np.isfinite(value(name, alone))
    else:
        with pytest.raises(DataError, match="1 factor: expected at least 2"):
            value(name, alone)


def test_arrays_are_taken_as_factors():
    truth = np.arange(60)[:, None] % np.array([2, 3, 5])
    assert METRICS["mcc"]()(truth, truth[:, ::-1].astype(float)) == pytest.approx(1, abs=1e-12)
