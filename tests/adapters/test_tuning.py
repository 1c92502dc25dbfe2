"""Choosing over several folds: the best on average, each fold counted alike, as the literal loop finds it."""

from importlib import import_module

import numpy as np
import pytest

from lpcm.adapters.cache_search import ALPHAS, BETAS
from lpcm.adapters.records import RECORDS
from lpcm.adapters.tuning import Fold, MeanStanding, Tunable, Tuned
from lpcm.adapters.validation import Standing, standing
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import TextPrompts

C, D = 5, 7
CHOOSERS = ("linear-probe", "gda", "tip-adapter")
CENTRES = Key.of(0).fold("centres").generator().standard_normal((C, D))
PROMPTS = TextPrompts(
    (CENTRES + 0.9 * Key.of(1).generator().standard_normal((C, D))).astype(np.float32), tuple("abcde")
)


def make(name, **settings):
    (record,) = [record for record in RECORDS if record.name == name]
    module, _, attribute = record.loader.partition(":")
    return getattr(import_module(module), attribute)(**settings)


def rows(n, name, noise=1.1):
    generator = Key.of(7).fold(name).generator()
    labels = np.arange(n) % C
    shift = generator.standard_normal(D)  # each set of rows is a domain of its own
    return (CENTRES[labels] + shift + noise * generator.standard_normal((n, D))).astype(np.float32), labels


def fold(name, n=33, q=17, noise=1.1):
    return Fold(*rows(n, name, noise), rows(q, f"{name}/val", noise), PROMPTS)


# Folds of unlike sizes: counted by rows instead of alike, the largest would decide.
FOLDS = [fold("one", q=15, noise=3.0), fold("two", q=257, noise=0.3), fold("three", n=21, q=31)]


def literal(name, settings):
    """The mean standing of fixed settings, one whole fit a fold."""
    found = []
    for each in FOLDS:
        fitted = make(name, **settings).fit(
            each.features, each.labels, classes=C, key=Key.of(0), text=each.text
        )
        found.append(standing(fitted.logits(each.val[0]), each.val[1]))
    return MeanStanding.of(found)


@pytest.mark.parametrize("name", CHOOSERS)
def test_a_single_fold_chooses_what_fit_chooses(name):
    only = FOLDS[0]
    fitted = make(name).fit(
        only.features, only.labels, classes=C, key=Key.of(0), val=only.val, text=only.text
    )
    tuned = make(name).tune([only], classes=C, key=Key.of(0))
    assert tuned.settings
    assert tuned.settings == {setting: fitted.report()[setting] for setting in tuned.settings}
    assert tuned.facts["folds_accuracy"] == pytest.approx(fitted.report()["val_accuracy"], abs=1e-12)


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("linear-probe", [{"C": 10.0**e} for e in range(-2, 7)]),
        ("gda", [{"alpha": 10.0**e} for e in range(-4, 3)]),
        ("tip-adapter", [{"beta": b, "alpha": a} for b in BETAS[::7] for a in ALPHAS[::9]]),
    ],
)
def test_several_folds_choose_what_the_literal_loop_chooses(name, points):
    tuned = make(name).tune(FOLDS, classes=C, key=Key.of(0))
    own = literal(name, tuned.settings)
    assert tuned.facts["folds_accuracy"] == pytest.approx(1 - own.error, abs=1e-12)
    # A path and a cold fit each stop within 1e-9 of the minimum; weights, and log-loss with them, then differ by
    # about the square root of that.
    assert tuned.facts["folds_log_loss"] == pytest.approx(own.log_loss, abs=1e-4)
    for point in points:
        other = literal(name, point)
        assert (own.error, own.log_loss) <= (other.error, other.log_loss + 1e-4), point


@pytest.mark.parametrize("name", CHOOSERS)
def test_the_order_of_the_folds_does_not_matter(name):
    assert (
        make(name).tune(FOLDS, classes=C, key=Key.of(0)).settings
        == make(name).tune(FOLDS[::-1], classes=C, key=Key.of(0)).settings
    )


@pytest.mark.parametrize("name", CHOOSERS)
def test_the_folds_choose_otherwise_than_one_of_them_alone(name):
    """Without this the other claims could hold of an adapter that looks at one fold."""
    alone = [make(name).tune([each], classes=C, key=Key.of(0)).settings for each in FOLDS]
    assert any(each != make(name).tune(FOLDS, classes=C, key=Key.of(0)).settings for each in alone)


@pytest.mark.parametrize("name", ["ncm", "zero-shot", "clap"])
def test_adapters_that_choose_nothing_say_so(name):
    adapter = make(name)
    assert isinstance(adapter, Tunable)
    assert adapter.tune(FOLDS, classes=C, key=Key.of(0)) == Tuned()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("linear-probe", {"C": 3.0}), ("gda", {"alpha": 2.0}), ("gda", {"text": "left-out"})],
)
def test_what_the_user_fixed_is_not_chosen(name, settings):
    assert make(name, **settings).tune(FOLDS, classes=C, key=Key.of(0)).settings == {}


def test_fixed_cache_settings_stay():
    tuned = make("tip-adapter", alpha=2.0).tune(FOLDS, classes=C, key=Key.of(0))
    assert tuned.settings["alpha"] == 2.0


@pytest.mark.parametrize("name", CHOOSERS)
def test_a_fold_without_validation_rows_is_refused(name):
    empty = Fold(*rows(33, "one"), (np.zeros((0, D), np.float32), np.zeros(0, np.int64)), PROMPTS)
    with pytest.raises(UsageError, match="validation rows and was given none"):
        make(name).tune([FOLDS[0], empty], classes=C, key=Key.of(0))


def test_each_fold_counts_alike():
    assert MeanStanding.of([Standing(1, 0.5, 1), Standing(0, 0.1, 999)]).error == 0.5
