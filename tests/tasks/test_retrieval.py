"""The retrieval task: both directions, several captions an image, equal captions, chance, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from lpcm.disentanglers.ica import ICA
from lpcm.disentanglers.rotation import RandomRotation
from lpcm.disentanglers.whiten import Whiten
from lpcm.errors import DataError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import Block
from lpcm.plugin.host import PluginHost
from lpcm.plugin.truth import Captions
from lpcm.study.runner import Runner
from lpcm.study.spec import Study
from lpcm.tasks import retrieval
from lpcm.tasks.records import RECORDS
from lpcm.tasks.retrieval import Retrieval
from lpcm.testing import check_task

D = 17
MAPS = {"whiten": Whiten, "rotation": RandomRotation, "ica": ICA}
BOTH = pytest.mark.parametrize("direction", ["image-to-text", "text-to-image"])


@check_task("retrieval")
def test_it_keeps_the_promises_of_a_task(check):
    check()


def pairs(name, n, captions=2, noise=2.5):
    """Images, their captions in an order that says nothing, and whose they are."""
    generator = Key.of(0).fold(name, n, captions).generator()
    images = generator.laplace(size=(n, D))
    owners = generator.permutation(np.repeat(np.arange(n), captions))
    texts = images[owners] + noise * generator.standard_normal((len(owners), D))
    return (7 * images).astype(np.float32), texts.astype(np.float32), owners


class Bench:
    def __init__(self, disentangler="none", splits=("train",)):
        self.key, self.classes, self.allowed = Key.of(0), ("a", "b"), None
        self._map, self._splits = disentangler, splits

    def splits(self):
        return self._splits

    def block(self, split):
        images, _, _ = pairs(split, 257)
        return Block(images, np.zeros(257, np.int64), tuple(map(str, range(257))), ("",) * 257)

    def captions(self, split):
        _, texts, owners = pairs(split, 257)
        return Captions(tuple(map(str, range(len(texts)))), texts, owners)

    def disentangler(self, rows, key, **settings):
        self.rows = rows
        return MAPS[self._map](random_state=key.random_state(), **settings).fit(rows)


def scored(sides, direction, disentangler="none", bench=None, **settings):
    images, texts, owners = sides
    bench = bench or Bench(disentangler)
    fitted = Retrieval(**settings).fit(bench, {"disentangler": disentangler, "direction": direction})
    return fitted.score(fitted.predict(images, texts), owners, 2)


def unit(rows):
    exact = rows.astype(np.float64)
    return (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)


def literal_ranks(sides, direction):
    """The rank of each query's best match, from the full matrix sorted row by row; without ties."""
    images, texts, owners = sides
    scores = unit(images) @ unit(texts).T
    if direction == "text-to-image":
        order = np.argsort(-scores.T, axis=1)
        return np.array([1 + list(row).index(own) for row, own in zip(order, owners, strict=True)])
    order = np.argsort(-scores, axis=1)
    return np.array([1 + min(np.flatnonzero(owners[row] == i)) for i, row in enumerate(order)])


def test_cells_are_directions_and_disentanglers_with_one_seed_where_nothing_is_drawn():
    axes = {"encoder": ["e"], "dataset": ["s"], "disentangler": ["none", "pca", "rotation"], "seed": [3, 5]}
    cells = [tuple(c.values())[2:] for c in Retrieval().cells(axes)]
    both = ("image-to-text", "text-to-image")
    assert cells == [
        *[(d, direction, 3) for d in ("none", "pca") for direction in both],
        *[("rotation", direction, seed) for direction in both for seed in (3, 5)],
    ]
    assert {c["direction"] for c in Retrieval(directions="text-to-image").cells(axes)} == {"text-to-image"}


@BOTH
@pytest.mark.parametrize(("n", "captions"), [(3, 1), (17, 1), (33, 5), (257, 2)])
def test_every_figure_is_that_of_the_sorted_matrix(n, captions, direction):
    sides = pairs("test", n, captions)
    score = scored(sides, direction, k=[1, 2, 5, 10])
    ranks = literal_ranks(sides, direction)
    found = json.loads(json.dumps(score.details))
    for k in (1, 2, 5, 10):
        assert found["recall"][str(k)] == pytest.approx(np.mean(ranks <= k), abs=1e-12)
    assert found["mrr"] == pytest.approx(np.mean(1 / ranks), abs=1e-12)
    assert found["median_rank"] == np.median(ranks)
    assert found["mean_rank"] == pytest.approx(np.mean(ranks), abs=1e-12)
    assert score.metric == "recall@1"
    assert score.value == score.outcomes.mean() == pytest.approx(np.mean(ranks == 1), abs=1e-12)
    assert (found["queries"], found["gallery"]) == (
        (n, n * captions) if direction[0] == "i" else (n * captions, n)
    )
    assert found["tied_queries"] == 0
    assert score.ceiling == {}


@BOTH
def test_outcomes_are_in_the_order_of_the_images(direction):
    sides = pairs("test", 33, 1)
    ranks = literal_ranks(sides, direction)
    expected = ranks == 1 if direction[0] == "i" else (ranks == 1)[np.argsort(sides[2])]
    assert scored(sides, direction).outcomes.tolist() == expected.tolist()


@BOTH
def test_planted_pairs_are_all_found(direction):
    score = scored(pairs("test", 97, 3, noise=1e-3), direction)
    assert score.value == 1
    assert score.details["mean_rank"] == score.details["mrr"] == 1


def test_chance_is_k_of_m_exactly_and_more_with_several_captions():
    sides = pairs("test", 31, 5)
    images = scored(sides, "text-to-image").details["chance"]
    assert images["recall"] == {
        "1": pytest.approx(1 / 31),
        "5": pytest.approx(5 / 31),
        "10": pytest.approx(10 / 31),
    }
    assert images["mean_rank"] == 16
    score = scored(sides, "image-to-text")
    assert score.null == {"chance": pytest.approx(5 / 155)}
    # 1 - C(150, 5) / C(155, 5)
    assert score.details["chance"]["recall"]["5"] == pytest.approx(
        1 - np.prod((150 - np.arange(5)) / (155 - np.arange(5)))
    )


@BOTH
def test_features_that_say_nothing_score_chance(direction):
    images, texts, owners = pairs("test", 33, 3)
    score = scored((np.ones_like(images), np.ones_like(texts), owners), direction)
    assert score.value == pytest.approx(score.null["chance"], abs=1e-12)
    for name in ("mrr", "median_rank", "mean_rank"):
        assert score.details[name] == pytest.approx(score.details["chance"][name], abs=1e-12)


def twins():
    """Each text twice, of two images: as emoji drawn in two styles. Image 2 i and 2 i + 1 share theirs."""
    images, _, _ = pairs("twins", 32, 1, noise=1e-3)
    owners = np.arange(32)
    names = np.repeat(images[::2] + images[1::2], 2, axis=0)
    order = Key.of(0).fold("order").generator().permutation(32)
    return images, names[order], owners[order]


@BOTH
def test_a_caption_of_two_images_cannot_be_right_more_than_half_the_time_and_the_ceiling_says_so(direction):
    score = scored(twins(), direction)
    assert score.ceiling == {"equal captions": 0.5}
    assert score.value <= 0.5
    assert score.details["distinct_captions"] == 16
    assert score.details["captions_of_several_images"] == 32


@BOTH
def test_equal_captions_may_count_as_matches(direction):
    other, match = (scored(twins(), direction, equal=equal) for equal in ("other", "match"))
    assert match.value > other.value
    assert match.ceiling == {}
    assert match.null["chance"] == 2 * other.null["chance"] == pytest.approx(2 / 32)
    assert match.value == pytest.approx(2 * other.value if direction[0] == "i" else match.value)


def test_equal_captions_without_end_are_refused(monkeypatch):
    monkeypatch.setattr(retrieval, "MOST_PAIRS", 63)
    with pytest.raises(DataError, match="64 matching pairs: expected at most 63"):
        scored(twins(), "image-to-text", equal="match")


def test_equal_captions_of_one_image_are_no_ceiling():
    images, texts, owners = pairs("test", 17, 1)
    score = scored((images, np.repeat(texts, 2, axis=0), np.repeat(owners, 2)), "image-to-text")
    assert score.ceiling == {}
    assert score.value == scored((images, texts, owners), "image-to-text").value


@BOTH
def test_the_ceiling_is_reached_by_the_best_ordering(direction):
    # Image 0 has the caption x twice, image 1 once and another of its own; image 2 has x alone.
    names = np.eye(D, dtype=np.float32)
    texts, owners = names[[0, 0, 0, 1, 0]], np.array([0, 0, 1, 1, 2])
    images = names[[0, 1, 0]] if direction[0] == "i" else names[[0, 1, 2]]
    score = scored((images, texts, owners), direction)
    # To text: 2 of 4 for image 0, its own caption for image 1, 1 of 4 for image 2. To image: 2 of 4 x, and 1 of 1.
    expected = (2 / 4 + 1 + 1 / 4) / 3 if direction[0] == "i" else (2 + 1) / 5
    assert score.ceiling == {"equal captions": pytest.approx(expected)}
    assert score.value == pytest.approx(expected)


@BOTH
def test_by_cosine_a_rotation_changes_nothing(direction):
    sides = pairs("test", 97, 2)
    values = [scored(sides, direction, name).outcomes for name in MAPS]
    for other in values[1:]:
        assert np.mean(values[0] == other) > 0.98  # up to scores that float32 components bring together


def test_the_map_is_fitted_on_unit_training_images_alone():
    bench = Bench("whiten")
    fitted = Retrieval().fit(bench, {"disentangler": "whiten", "direction": "image-to-text"})
    assert bench.rows.shape == (257, D)
    assert np.linalg.norm(bench.rows, axis=1) == pytest.approx(1, abs=1e-6)  # float32
    assert fitted.facts["similarity"] == "cosine of the components"
    assert "modality_gap" not in fitted.facts
    fitted = Retrieval(centre="modality").fit(bench, {"disentangler": "whiten", "direction": "image-to-text"})
    assert set(fitted.facts["modality_gap"]) == {"encoder", "components"}
    assert json.loads(json.dumps(fitted.facts)) == fitted.facts


def test_texts_far_from_the_images_are_found_once_they_are_moved_by_their_own_mean():
    class Far(Bench):
        def captions(self, split):
            found = super().captions(split)
            return Captions(found.texts, found.features + 4, found.owners)

    images, texts, owners = pairs("test", 97, 2, noise=0.5)
    kept, moved = (
        scored((images, texts + 4, owners), "image-to-text", "whiten", Far("whiten"), centre=centre).value
        for centre in ("fitted", "modality")
    )
    assert moved > kept


def test_ranks_may_be_typed_as_a_list_with_commas():
    assert Retrieval(k="10, 1,5,1").ks == Retrieval(k=[10, 5, 1]).ks == (1, 5, 10)
    assert Retrieval(k=3).ks == (3,)


@pytest.mark.parametrize("k", [(), (0,), (1, -1), (1.5,), (True,), 0, "", "1,x", "0"])
def test_ranks_that_cannot_be_are_refused(k):
    with pytest.raises(UsageError, match="expected whole numbers of 1 or more"):
        Retrieval(k=k)


def test_what_cannot_be_run_is_refused_with_the_reason():
    images, texts, owners = pairs("test", 7, 1)
    with pytest.raises(
        DataError, match="1 images and 1 captions: with one to choose from nothing is retrieved"
    ):
        scored((images[:1], texts[:1], owners[:1] * 0), "image-to-text")
    with pytest.raises(DataError, match="1 of 7 images have no caption, first row 3"):
        scored((images, texts[owners != 3], owners[owners != 3]), "image-to-text")
    assert scored((images, texts[owners != 3], owners[owners != 3]), "text-to-image").details["queries"] == 6
    with pytest.raises(DataError, match="captions name images 0 to 7: expected 0 to 6"):
        scored((images, texts, owners + (owners == 6)), "image-to-text")
    with pytest.raises(DataError, match="expected one each"):
        scored((images, texts, owners[:3]), "image-to-text")
    with pytest.raises(DataError, match="NaN or infinity in 1 of 7 rows"):
        scored((images, np.where(np.arange(7)[:, None] == 2, np.nan, texts), owners), "image-to-text")
    with pytest.raises(DataError, match="no train split"):
        scored((images, texts, owners), "image-to-text", "whiten", Bench("whiten", splits=()))
    with pytest.raises(UsageError, match="did you mean 'image-to-text'"):
        Retrieval(directions="image-to-texts")
    with pytest.raises(UsageError, match="expected other or match"):
        Retrieval(equal="both")


def test_the_record_lists_what_the_task_takes():
    (record,) = [record for record in RECORDS if record.name == "retrieval"]
    given, default = Retrieval(**{p.name: p.default for p in record.params}), Retrieval()
    assert vars(given) == vars(default)


def test_a_whole_run_says_what_fails_and_why(tmp_path):
    host = PluginHost.discover(files=[Path(__file__).with_name("pairs_plugin.py")])
    asked = {
        "encoder": "pair,blind",
        "dataset": "pets,silent",
        "task": "retrieval",
        "disentangler": "none,whiten",
    }
    run = Runner(host, tmp_path / "store").run(Study.parse(asked, "test"), None, tmp_path / "runs")
    done = [row for row in run.rows if row["status"] == "done"]
    assert {row["cell"]["direction"] for row in done} == {"image-to-text", "text-to-image"}
    assert [row["cell"]["encoder"] for row in done] == ["pair"] * 4
    assert min(row["value"] for row in done) > 0.2  # chance is 1 / 35
    said = [row["error"]["message"] for row in run.rows if row["status"] == "failed"]
    assert len(said) == 12
    assert sum("'silent' has no captions" in each for each in said) == 4
    assert sum("reads no text" in each for each in said) == 8
