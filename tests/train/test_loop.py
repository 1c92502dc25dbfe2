"""Training: it learns, chooses on validation, is deterministic, goes on where it was, and keeps the last good state."""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from lpcm.errors import DataError, LpcmError, UsageError
from lpcm.geometries.box import Box
from lpcm.geometries.sphere import Sphere
from lpcm.keys import Key
from lpcm.plugin.guard import changed_generators, random_states
from lpcm.train import checkpoint
from lpcm.train.assemble import fresh_pair
from lpcm.train.folder import TrainingFolder
from lpcm.train.heads import Shape
from lpcm.train.loop import Training
from lpcm.train.recipe import HeadKind
from lpcm.train.restored import restored, told_shape
from lpcm.train.validation import recall, retrieval
from tests.train.conftest import planted

TRAIN, VAL = planted(61, copies=2), planted(23, seed=5)


def shapes(recipe, dim=9):
    return [
        Shape(kind=kind, width=rows.shape[1], hidden=recipe.hidden, dim=dim)
        for kind, rows in ((recipe.head, TRAIN.images), (recipe.text_head, TRAIN.texts))
    ]


def training(recipe, geometry=None, train=TRAIN, val=VAL):
    image, text = shapes(recipe)
    pair = fresh_pair(recipe, image, text, geometry or Sphere(9), train)
    return Training(pair, recipe, train, val, Key.of(recipe.seed))


def about(recipe):
    image, text = shapes(recipe)
    return {
        "recipe": recipe.told(),
        "geometry": {"name": "sphere", "settings": {}},
        "image": told_shape(image),
        "text": told_shape(text),
    }


@pytest.mark.parametrize("head", ["linear", "mlp", "residual"])
def test_heads_find_the_planted_latent(recipe, head):
    # Chance is 1 of 23. The planted maps are linear and the noise a twentieth.
    run = training(replace(recipe, head=HeadKind(head), epochs=20))
    progress = run.run()
    assert progress.epochs[progress.best - 1].val.image_to_text > 0.7


def test_a_box_with_its_distance_learns_too(recipe):
    run = training(replace(recipe, epochs=20, lr=0.02), Box(9))
    placed = run.pair.images(torch.from_numpy(VAL.images))
    assert (placed >= 0).all()
    assert run.pair.similarity == "l1"
    before = retrieval(run.pair, VAL).image_to_text
    assert run.run().best_score > max(before, 0.3)


def test_a_residual_head_starts_as_its_tower(recipe):
    shape = Shape(kind=HeadKind.RESIDUAL, width=9, hidden=5, dim=9)
    head = fresh_pair(recipe, shape, shape, Sphere(9), planted(5, d=9, e=9)).images
    x = torch.from_numpy(planted(5, d=9, e=9).images)
    torch.testing.assert_close(head(x), torch.nn.functional.normalize(x, dim=1), rtol=0, atol=0)


def test_bf16_products_learn_as_well(recipe):
    assert training(replace(recipe, epochs=20, precision="bf16")).run().best_score > 0.5


def test_the_same_key_gives_the_same_bytes_and_no_global_generator_is_touched(recipe):
    states = random_states()
    runs = [training(replace(recipe, noise=0.1)) for _ in range(2)]
    for run in runs:
        run.run()
    assert not changed_generators(states, random_states())
    for name, value in runs[0].best.items():
        assert torch.equal(value, runs[1].best[name]), name
    other = training(replace(recipe, seed=1))
    assert not torch.equal(other.best["images.inner.weight"], training(recipe).best["images.inner.weight"])


def test_a_stopped_training_goes_on_to_the_same_bytes(recipe, tmp_path):
    recipe = replace(recipe, noise=0.1)
    whole = TrainingFolder(tmp_path / "whole", about(recipe))
    training(recipe).run(whole)

    class StopError(Exception):
        pass

    def stop(epoch):
        if epoch.number == 3:
            raise StopError

    halved = TrainingFolder(tmp_path / "halved", about(recipe))
    with pytest.raises(StopError):
        training(recipe).run(halved, stop)
    told = []
    training(recipe).run(TrainingFolder(tmp_path / "halved", about(recipe)), told.append)
    assert [epoch.number for epoch in told] == [4, 5, 6]
    for name in (checkpoint.PAIR, checkpoint.STATE, "epochs.jsonl", "recipe.json"):
        assert (tmp_path / "halved" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_finished_training_is_answered_without_a_step(recipe, tmp_path):
    for expected in (6, 0):
        told = []
        training(recipe).run(TrainingFolder(tmp_path / "run", about(recipe)), told.append)
        assert len(told) == expected


def test_the_kept_epoch_is_the_best_on_validation(recipe):
    run = training(recipe)
    progress = run.run()
    scores = [epoch.val.score for epoch in progress.epochs]
    assert progress.best_score == max(scores)
    assert progress.best == scores.index(max(scores)) + 1
    run.pair.load_state_dict(run.best)
    assert retrieval(run.pair, VAL).score == progress.best_score


def test_it_stops_when_validation_does_not_become_better(recipe):
    progress = training(replace(recipe, epochs=200, patience=2, lr=0.05)).run()
    assert len(progress.epochs) == progress.best + 2 < 200


def test_the_whole_set_can_be_one_batch(recipe):
    progress = training(replace(recipe, batch=None)).run()
    assert progress.steps == 6


def test_the_rate_rises_and_falls_to_nothing(recipe):
    run = training(replace(recipe, warm_up=0.25))
    rates = [run._rate(step) for step in range(6 * run.batches + 1)]
    assert rates[0] < rates[1] <= max(rates) == 1.0
    assert rates[-1] == pytest.approx(0, abs=1e-12)  # a cosine of pi
    assert rates.index(1.0) == pytest.approx(0.25 * 6 * run.batches, abs=1)


def test_a_temperature_that_runs_away_is_held_at_its_bound(recipe):
    run = training(replace(recipe, temperature=0.5, max_scale=3.0, lr=0.05, epochs=20))
    progress = run.run()
    assert progress.clamped
    # exp of the log of the bound, in float32
    assert min(epoch.temperature for epoch in progress.epochs) == pytest.approx(1 / 3, rel=1e-6)


def test_images_of_one_caption_do_not_push_each_other_away(recipe):
    # All images of a concept are the same row: with duplicates as negatives the loss could not fall below log 2.
    same = planted(15, copies=2, noise=0.0)
    run = training(replace(recipe, batch=None, epochs=60, lr=0.03), train=same, val=None)
    assert run.run().epochs[-1].loss < math.log(2) * 0.75


def test_a_loss_that_is_not_finite_stops_with_the_last_checkpoint_whole(recipe, tmp_path):
    folder = TrainingFolder(tmp_path / "run", about(recipe))
    run = training(recipe)

    def poison(epoch):
        if epoch.number == 2:
            with torch.no_grad():
                run.pair.log_scale.fill_(math.nan)

    with pytest.raises(DataError, match="the scale is nan at step") as caught:
        run.run(folder, poison)
    assert "--lr 0.001" in caught.value.hint
    _, told = checkpoint.read(tmp_path / "run" / checkpoint.STATE)
    assert [epoch["number"] for epoch in told["epochs"]] == [1, 2]


def test_a_full_disk_leaves_the_last_good_checkpoint(recipe, disk, tmp_path, monkeypatch):
    folder = TrainingFolder(tmp_path / "run", about(recipe))
    fill, kept = disk(tmp_path / "run")
    with pytest.raises(
        LpcmError, match="No space left on device; the checkpoint before it is whole"
    ) as caught:
        training(recipe).run(folder, fill)
    assert "make room" in caught.value.hint
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == kept
    monkeypatch.undo()
    training(recipe).run(folder)
    assert checkpoint.read(tmp_path / "run" / checkpoint.STATE)[1]["steps"] == 6 * 4


def test_a_folder_of_another_training_is_refused(recipe, tmp_path):
    TrainingFolder(tmp_path / "run", about(recipe))
    with pytest.raises(UsageError, match="holds another training"):
        TrainingFolder(tmp_path / "run", about(replace(recipe, lr=0.5)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="is not the folder of a training"):
        TrainingFolder(tmp_path / "mine", about(recipe))


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"pickle" + data, lambda data: b""])
def test_a_damaged_checkpoint_is_refused(recipe, tmp_path, damage):
    folder = TrainingFolder(tmp_path / "run", about(recipe))
    training(replace(recipe, epochs=1)).run(folder)
    path = tmp_path / "run" / checkpoint.PAIR
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="is not a checkpoint of lpcm-train"):
        restored(path, lambda name, dim, settings: Sphere(dim))


def test_a_kept_pair_places_features_as_the_trained_one_does(recipe, tmp_path):
    run = training(recipe)
    run.run(TrainingFolder(tmp_path / "run", about(recipe)))
    pair, told = restored(tmp_path / "run" / checkpoint.PAIR, lambda name, dim, settings: Sphere(dim))
    run.pair.load_state_dict(run.best)
    x = torch.from_numpy(VAL.images)
    assert torch.equal(pair.images(x), run.pair.images(x))
    assert told["epoch"] == run.progress.best
    assert not any(p.requires_grad for p in pair.parameters())


@pytest.mark.parametrize(("similarity", "p"), [("l1", 1), ("sqeuclidean", 2), ("lp", 3)])
def test_retrieval_by_distance_equals_a_sort(similarity, p):
    draws = np.random.Generator(np.random.Philox(key=3))
    pairs = planted(33, copies=2)
    x, y = draws.standard_normal((66, 5)).astype("f"), draws.standard_normal((33, 5)).astype("f")
    found = recall(torch.from_numpy(x), torch.from_numpy(y), pairs, similarity, float(p))
    distance = (np.abs(x[:, None] - y[None]).astype(np.float64) ** p).sum(2)
    assert found.image_to_text == pytest.approx((distance.argmin(1) == pairs.items).mean())
    assert found.text_to_image == pytest.approx((pairs.items[distance.argmin(0)] == np.arange(33)).mean())


def test_scores_that_are_all_equal_give_chance():
    pairs = planted(8, copies=2)
    found = recall(torch.ones(16, 3), torch.ones(8, 3), pairs)
    assert found.image_to_text == pytest.approx(1 / 8)
    assert found.text_to_image == pytest.approx(2 / 16)


def test_training_does_not_change_the_pair_it_was_copied_from(recipe):
    run = training(recipe)
    twin = deepcopy(run.pair.state_dict())
    Training(deepcopy(run.pair), recipe, TRAIN, VAL, Key.of(0)).run()
    for name, value in run.pair.state_dict().items():
        assert torch.equal(value, twin[name]), name
