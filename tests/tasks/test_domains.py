"""The domain task: which cells, which samples on which side, what each rule selects on, and what the row says."""

import json

import numpy as np
import pytest

from lpcm.adapters.linear_probe import LinearProbe
from lpcm.adapters.search import GRID
from lpcm.disentanglers.records import RECORDS as DISENTANGLERS
from lpcm.errors import DataError, SealError, UsageError
from lpcm.plugin.truth import Roster
from lpcm.tasks.domain_settings import read_shots
from lpcm.tasks.domains import Domains
from lpcm.tasks.source_rows import draw_source_rows

from .domain_bench import CLASSES, DOMAINS, PER_CLASS, WORLD, DomainBench, loaded, make_world, roster_of, run

RULES = ("training-domain", "leave-one-domain-out", "oracle")
AXES = {
    "encoder": ["e"],
    "dataset": ["w"],
    "disentangler": ["none", "ica"],
    "adapter": ["linear-probe"],
    "seed": [0, 1],
    "domain": [("w", name) for name in DOMAINS],
}
N = len(CLASSES) * PER_CLASS


# --- cells ---


def test_cells_are_the_product_with_one_reference_for_each_encoder_and_target():
    cells = list(Domains(rule=RULES).cells({**AXES, "encoder": ["e", "f"]}))
    references = [c for c in cells if c["adapter"] == "zero-shot"]
    assert [(c["encoder"], c["target"], c["rule"]) for c in references] == [
        (encoder, target, "none") for encoder in "ef" for target in DOMAINS
    ]
    others = [tuple(c.values()) for c in cells if c["adapter"] != "zero-shot"]
    assert len(others) == len(set(others)) == 2 * 4 * 3 * 2 * 2
    names = ["encoder", "dataset", "target", "rule", "disentangler", "adapter", "shots", "seed"]
    assert all(list(c) == names for c in cells)


def test_named_sources_are_no_targets_unless_they_are_asked_for():
    def targets(**settings):
        return list(dict.fromkeys(c["target"] for c in Domains(**settings).cells(AXES)))

    assert targets() == list(DOMAINS)
    assert targets(sources="photo, toy") == ["sketch", "clip art"]
    assert targets(sources=["photo"], target="toy,photo") == ["photo", "toy"]
    assert targets(sources=DOMAINS) == list(DOMAINS)


def test_a_domain_that_does_not_exist_is_told_the_nearest():
    with pytest.raises(UsageError, match=r"domains\.target.*'skech'") as caught:
        list(Domains(target="skech").cells(AXES))
    assert "did you mean 'sketch'" in caught.value.hint
    with pytest.raises(UsageError, match=r"domains\.sources"):
        list(Domains(sources="photo,foto").cells(AXES))


def test_a_dataset_that_has_none_of_the_domains_is_named():
    axes = {**AXES, "dataset": ["w", "v"], "domain": [*AXES["domain"], ("v", "night"), ("v", "day")]}
    assert {c["dataset"] for c in Domains(target="photo,day").cells(axes)} == {"w", "v"}
    with pytest.raises(UsageError, match="dataset 'v' has none of 'photo'"):
        list(Domains(target="photo").cells(axes))


def test_a_dataset_without_domains_has_one_cell_that_says_so():
    (cell,) = Domains().cells({**AXES, "domain": []})
    with pytest.raises(DataError, match="'w' has no domains") as caught:
        Domains().partition(Roster(("a", "b"), ("", ""), ("train", "test")), cell)
    assert "PATH/DOMAIN/CLASS" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "leave-one-out"}, "expected 'training-domain' or"),
        ({"rule": ""}, "rule is ''"),
        ({"target": 3}, "domains.target is 3: expected names"),
        ({"shots": 0}, "expected whole numbers of 1 or more, or 'all'"),
        ({"shots": "few"}, "expected whole numbers"),
        ({"shots": (True,)}, "expected whole numbers"),
        ({"shots": ()}, "expected whole numbers"),
        ({"shots": 1.5}, "expected whole numbers"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        Domains(**settings)


def test_shots_can_be_counted_or_all():
    assert read_shots("all,4,1,4") == ("all", 4, 1)
    assert read_shots((2, 16)) == (2, 16)
    assert read_shots(7) == (7,)


# --- sides ---


def side(world, places):
    return {world.ids[i] for i in places}


@pytest.mark.parametrize("target", DOMAINS)
def test_all_of_the_target_is_tested_and_all_else_trains(target):
    partition = Domains().partition(roster_of(WORLD), {"dataset": "w", "target": target})
    own = {i for i, domain in zip(WORLD.ids, WORLD.domains, strict=True) if domain == target}
    assert side(WORLD, partition.test) == own
    assert side(WORLD, partition.train) == set(WORLD.ids) - own
    assert not len(partition.val)


def test_sources_and_their_splits_can_be_chosen():
    task = Domains(sources="photo,sketch", source_splits="train")
    roster = roster_of(WORLD)
    partition = task.partition(roster, {"dataset": "w", "target": "toy"})
    assert {roster.domains[i] for i in partition.train} == {"photo", "sketch"}
    assert {roster.splits[i] for i in partition.train} == {"train"}
    assert len(partition.test) == N
    # A target among several sources is not trained on.
    partition = task.partition(roster, {"dataset": "w", "target": "photo"})
    assert {roster.domains[i] for i in partition.train} == {"sketch"}


def test_the_only_source_can_be_the_target_where_splits_are_left_for_it():
    roster, axes = roster_of(WORLD), {"dataset": "w", "target": "photo"}
    partition = Domains(sources="photo", source_splits="train,val").partition(roster, axes)
    assert {roster.splits[i] for i in partition.train} == {"train", "val"}
    assert {roster.splits[i] for i in partition.test} == {"test"}
    with pytest.raises(DataError, match="no image of dataset 'w' is left on the target side"):
        Domains(sources="photo").partition(roster, axes)


def test_domains_with_test_images_only_are_targets_of_those_with_more():
    """As ImageNet's family is: one domain with train and test, others with test alone."""
    splits = [
        ("train", "val", "test")[i % 3] if domain == "photo" else "test"
        for i, domain in enumerate(WORLD.domains)
    ]
    roster = Roster(WORLD.ids, WORLD.domains, tuple(splits))
    for target in DOMAINS:
        partition = Domains().partition(roster, {"dataset": "w", "target": target})
        assert {(roster.domains[i], roster.splits[i]) for i in partition.train} == {
            ("photo", "train"),
            ("photo", "val"),
        }
        assert {(roster.domains[i], roster.splits[i]) for i in partition.test} == {(target, "test")}
    # What is asked for goes first: a domain of test images can be trained on all the same.
    partition = Domains(sources="toy").partition(roster, {"dataset": "w", "target": "photo"})
    assert {roster.domains[i] for i in partition.train} == {"toy"}
    assert len(partition.test) == N


def test_splits_that_do_not_exist_leave_nothing_and_are_told():
    with pytest.raises(DataError, match="left on the source side") as caught:
        Domains(source_splits="trian").partition(roster_of(WORLD), {"dataset": "w", "target": "photo"})
    assert "its splits train, val, test" in caught.value.hint


# --- fitting ---


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("disentangler", ["none", "pca", "whiten", "rotation", "ica", "pca-ica"])
def test_it_learns_to_classify_a_domain_that_it_has_not_seen(rule, disentangler):
    _, fitted, score = run(rule=rule, disentangler=disentangler)
    assert score.value > 0.6  # chance is 0.2
    assert score.outcomes.mean() == pytest.approx(score.value, abs=1e-12)
    assert json.loads(json.dumps(fitted.facts)) == fitted.facts
    assert fitted.selection.startswith(rule)


@pytest.mark.parametrize("rule", RULES)
def test_the_unmixing_sees_source_rows_alone_and_none_that_validates(rule):
    bench, fitted, _ = run(rule=rule, disentangler="whiten")
    row = 4 * WORLD.features.shape[1]
    seen = {rows[i : i + row] for rows, _ in bench.asked for i in range(0, len(rows), row)}
    target = {features.tobytes() for features in bench.test.features}
    assert not seen & target
    last = bench.asked[-1][0]
    assert len(last) == row * fitted.facts["fit_rows"]
    assert fitted.facts["fit_rows"] == 3 * N - fitted.facts["val_rows"]


def test_only_the_oracle_sees_target_labels():
    for rule in RULES:
        bench, _, _ = run(rule=rule)
        assert bench.lent == (rule == "oracle")
    assert Domains().oracle({"rule": "oracle"})
    assert not Domains().oracle({"rule": "training-domain"})
    honest = DomainBench(Domains(), {"target": "photo", "rule": "training-domain", "shots": "all"})
    with pytest.raises(SealError):
        Domains().fit(honest, {"target": "photo", "rule": "oracle", "shots": "all"})


def test_the_oracle_is_at_least_as_good_on_the_target():
    for target in DOMAINS:
        by_rule = {rule: run(rule=rule, target=target)[2].value for rule in RULES}
        assert by_rule["oracle"] >= max(by_rule.values()), target


@pytest.mark.parametrize("disentangler", ["none", "whiten"])
def test_leaving_a_domain_out_selects_what_the_literal_loop_selects(disentangler):
    bench, fitted, _ = run(rule="leave-one-domain-out", disentangler=disentangler)
    train, key = bench.train, bench.key
    domains = np.array(train.domains)
    rows = draw_source_rows(train, CLASSES, None, key.fold("rows"))
    made = loaded(DISENTANGLERS, disentangler)
    mean = {}
    for C in GRID:
        found = []
        for name in DOMAINS[1:]:
            unmix = made(random_state=key.fold("disentangler").random_state())
            unmix.fit(train.features[np.setdiff1d(np.flatnonzero(domains != name), rows.val)])
            fit_on = [i for i in rows.train if domains[i] != name]
            probe = LinearProbe(C=C).fit(
                unmix.transform(train.features[fit_on]), train.labels[fit_on], classes=5, key=key
            )
            judged = domains == name
            logits = probe.logits(unmix.transform(train.features[judged]))
            found.append((logits.argmax(1) == train.labels[judged]).mean())
        mean[C] = np.mean(found)
    chosen = fitted.facts["adapter"]["C"]
    assert mean[chosen] == pytest.approx(max(mean.values()), abs=1e-12)
    assert fitted.facts["tuned"]["folds_accuracy"] == pytest.approx(mean[chosen], abs=1e-12)
    assert fitted.facts["tuned"]["left_out"] == list(DOMAINS[1:])


def test_rules_train_on_the_same_rows():
    facts = [run(rule=rule)[1].facts for rule in RULES]
    assert len({json.dumps([f["source_rows"], f["train_rows"], f["sources"]]) for f in facts}) == 1


def test_leaving_out_the_only_source_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="needs two or more source domains, and there is one: 'photo'") as e:
        run(Domains(sources="photo"), target="toy", rule="leave-one-domain-out")
    assert "training-domain" in e.value.hint


def test_an_adapter_that_cannot_be_tuned_over_domains_says_so():
    _, fitted, _ = run(rule="leave-one-domain-out", adapter="taskres", text=True)
    assert any("has no tune()" in warning for warning in fitted.warnings)
    assert "not followed" in fitted.selection
    _, plain, _ = run(rule="training-domain", adapter="taskres", text=True)
    assert not plain.warnings


def test_cells_with_the_same_rows_share_an_unmixing():
    # Four targets: four unmixings of three domains, and of each pair of domains one, not two.
    asked = [
        place
        for target in DOMAINS
        for place in run(target=target, rule="leave-one-domain-out", disentangler="pca")[0].asked
    ]
    assert len(asked) == 4 + 12
    assert len(set(asked)) == 4 + 6
    for rule in RULES:
        assert run(rule=rule, disentangler="pca")[0].asked[-1] in asked


def test_what_chooses_nothing_leaves_no_domain_out_for_nothing():
    bench, _, _ = run(rule="leave-one-domain-out", adapter="ncm")
    assert len(bench.asked) == 1


def test_whitening_rotation_and_ica_predict_the_same():
    scores = [run(disentangler=name)[2] for name in ("whiten", "rotation", "ica", "pca-ica")]
    for other in scores[1:]:
        assert np.mean(scores[0].outcomes == other.outcomes) > 0.98  # up to ties at float32 rounding: 55 rows


def test_the_same_cell_gives_the_same_bytes():
    (_, one, first), (_, two, second) = (run(rule=RULES[1], disentangler="ica") for _ in range(2))
    assert one.facts == two.facts
    assert first.outcomes.tobytes() == second.outcomes.tobytes()


def test_few_shots_are_labelled_and_all_rows_are_unmixed():
    _, fitted, score = run(shots=2, disentangler="pca")
    assert fitted.facts["train_rows"] == fitted.facts["val_rows"] == 3 * 5 * 2
    assert fitted.facts["fit_rows"] == 3 * N - 30
    assert score.value > 0.4  # chance is 0.2
    with pytest.raises(DataError, match="'ant' in 'sketch' has 11"):
        run(shots=9)


def test_zero_shot_is_the_reference_on_target_and_sources():
    _, fitted, score = run(rule="none", shots=0, adapter="zero-shot", text=True)
    assert score.value > 0.6
    assert fitted.facts["reference"] == "zero-shot"
    assert set(fitted.facts["source_accuracies"]) == set(DOMAINS[1:])


# --- what is said ---


def test_source_accuracy_is_the_mean_over_domains_of_held_out_rows():
    _, fitted, _ = run()
    each = fitted.facts["source_accuracies"]
    assert list(each) == list(DOMAINS[1:])
    assert fitted.facts["source_accuracy"] == pytest.approx(np.mean(list(each.values())), abs=1e-12)


def test_a_target_with_fewer_classes_is_predicted_and_scored_among_them():
    world = make_world()
    rows = np.flatnonzero((np.array(world.domains) != "photo") | np.isin(world.labels, (1, 3)))
    bench, fitted, score = run(world=world.take(rows), allowed=(1, 3))
    assert set(fitted.predict(bench.test.features)) <= {1, 3}
    assert score.null["chance"] == 0.5
    assert fitted.facts["allowed_classes"] == 2
    assert score.details["classes_without_images"] == []
    assert score.details["per_class"][0] is None
    everything = run(world=world.take(rows))[1]
    assert everything.facts["allowed_classes"] == 5
    # Two classes are told apart at least as well as five, on the same held-out rows.
    assert fitted.facts["source_accuracy"] >= everything.facts["source_accuracy"] - 0.1


def test_classes_that_no_source_or_one_source_lacks_are_named():
    world = make_world()
    domains = np.array(world.domains)
    kept = ~((world.labels == 4) & (domains != "photo")) & ~((world.labels == 0) & (domains == "toy"))
    _, fitted, score = run(world=world.take(np.flatnonzero(kept)))
    assert "never predicted, since no source domain has an image of them: 'eel'" in fitted.warnings
    assert any(w.startswith("source domain 'toy' has no image of 1 classes: 'ant'") for w in fitted.warnings)
    assert score.details["per_class"][4] == 0.0


def test_the_score_has_nulls_and_the_accuracy_of_each_class():
    score = Domains().score(np.array([0, 1, 1, 1]), np.array([0, 0, 0, 2]), 4)
    assert score.value == 0.25
    assert score.null == {"chance": 0.25, "majority": 0.75}
    assert score.details["per_class"] == [1 / 3, None, 0.0, None]
    assert score.details["mean_per_class"] == pytest.approx(1 / 6, abs=1e-12)
    assert score.details["classes_without_images"] == [1, 3]
    with pytest.raises(DataError, match="2 predictions were given for 3 labels"):
        Domains().score(np.zeros(2, np.int64), np.zeros(3, np.int64), 2)


def test_the_draw_depends_on_the_seed_alone():
    facts = [
        run(seed=seed, disentangler=name)[0].asked[0][0]
        for seed, name in ((0, "pca"), (0, "none"), (1, "pca"))
    ]
    assert facts[0] == facts[1] != facts[2]


def test_nan_features_are_refused_by_name():
    world = make_world()
    world.features[DOMAINS.index("toy") * N] = np.nan
    with pytest.raises(DataError, match="NaN or infinity in 1 of"):
        run(world=world)
