"""The geometry task: measures with nulls, a recommendation that follows from them, pairs where there are texts."""

from dataclasses import replace

import numpy as np
import pytest

from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.tasks.geometry import GeometryTask

AXES = {"encoder": "e", "dataset": "d", "seed": 0}


@pytest.fixture
def bench_of(make_bench):
    """A bench whose blocks hold these features; the second half is the test side."""

    class Bench(make_bench):
        def captions(self, split):
            raise DataError("dataset 'd' has no captions")

    def make(features, train, text=False):
        block = replace(
            train,
            features=features.astype(np.float32),
            labels=np.zeros(len(features), np.int64),
            ids=tuple(map(str, range(len(features)))),
            domains=("",) * len(features),
        )
        half = np.arange(len(features) // 2)
        return Bench(blocks={"train": block.take(half)}, text=text), features[len(half) :].astype(np.float32)

    return make


def judged(bench, test):
    fitted = GeometryTask().fit(bench, AXES)
    return fitted, fitted.score(fitted.predict(test), None, 5)


def cloud(kind, n=2002, d=7):
    generator = Key.of(0).fold(kind).generator()
    spread = np.geomspace(0.05, 2, d)
    if kind == "laplace":
        return generator.laplace(size=(n, d)) * spread + 1
    rows = generator.standard_normal((n, d))
    return rows if kind == "even" else rows * spread


def test_axes_of_laplace_features_with_norms_that_vary_speak_for_pca_ica(bench_of, blocks):
    _, score = judged(*bench_of(cloud("laplace"), blocks["train"]))
    assert score.details["recommendation"] == "pca-ica"
    assert score.value > 0.5 > 0.1 > score.null["rotation"]
    assert f"{score.details['evidence']['kurtosis']:.2f}" in score.details["because"]


@pytest.mark.parametrize(("kind", "pipeline"), [("even", "none"), ("uneven", "whiten")])
def test_normal_features_have_no_axes_to_be_found(bench_of, blocks, kind, pipeline):
    _, score = judged(*bench_of(cloud(kind), blocks["train"]))
    assert score.details["recommendation"] == pipeline
    evidence = score.details["evidence"]
    assert evidence["kurtosis"] <= evidence["rotations_reach"]


def test_every_measure_is_in_the_row_and_pairs_only_where_there_are_texts(bench_of, blocks):
    alone, _ = judged(*bench_of(cloud("even"), blocks["train"]))
    assert {"norm_spread", "sphericity", "effective_rank", "intrinsic_dimension"} <= set(
        alone.facts["measures"]
    )
    assert "alignment" not in alone.facts["measures"]
    assert any("no captions" in said for said in alone.warnings)
    both, _ = judged(*bench_of(cloud("even", d=17), blocks["train"], text=True))
    assert {"alignment", "modality_gap"} <= set(both.facts["measures"])
    assert both.facts["pairs"] == "class prompts"


def test_the_same_key_gives_the_same_numbers(bench_of, blocks):
    bench, test = bench_of(cloud("laplace"), blocks["train"])
    (one, first), (other, second) = judged(bench, test), judged(bench, test)
    assert one.facts == other.facts
    assert first.value == second.value
    assert np.array_equal(first.draws, second.draws)


def test_draws_spread_around_the_value(bench_of, blocks):
    _, score = judged(*bench_of(cloud("laplace"), blocks["train"]))
    assert score.draws.mean() == pytest.approx(score.value, abs=0.05)  # draws are cut to 0 and 1
    assert (score.draws >= 0).all()
    assert (score.draws <= 1).all()


@pytest.mark.parametrize("rows", [3, 30])
def test_too_few_rows_are_refused_with_their_number(bench_of, blocks, rows):
    bench, test = bench_of(cloud("even")[:rows], blocks["train"])
    with pytest.raises(DataError, match="too few"):
        judged(bench, test)


@pytest.mark.parametrize("components", [-1, 1])
def test_impossible_settings_are_refused(components):
    with pytest.raises(UsageError):
        GeometryTask(components=components)
