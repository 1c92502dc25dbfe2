"""Towers that learn: they do, in chunks as at once, go on to the same bytes, and come back as the encoder run:PATH."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lpcm.encoders.trained import trained
from lpcm.errors import DataError, LpcmError, UsageError
from lpcm.keys import Key
from lpcm.plugin.contracts import EncoderOptions, Precision
from lpcm.plugin.guard import changed_generators, random_states
from lpcm.plugin.host import PluginHost
from lpcm.plugin.records import Kind, Modality
from lpcm.plugin.trainable import Trainable
from lpcm.store.files import FileDigests
from lpcm.train import checkpoint
from lpcm.train.assemble import Place, assemble
from lpcm.train.folder import TrainingFolder
from lpcm.train.loop import Training
from lpcm.train.recipe import HeadKind, Recipe
from tests.train.conftest import PLUGIN, TINY_PLUGIN

TEXTS = ["a red square", "a very long black line", "pink"]


@pytest.fixture(scope="module")
def host():
    return PluginHost.discover(only=(), files=[PLUGIN, TINY_PLUGIN])


@pytest.fixture
def bare(tiny, shapes):
    """Plain fine-tuning of both towers of the tiny CLIP."""
    return Recipe.parse(
        {
            "encoder": f"tiny-clip:{tiny}",
            "dataset": f"csv:{shapes}",
            "train_towers": "image,text",
            "head": "none",
            "text_head": "none",
            "epochs": 4,
            "batch": 14,
            "patience": 0,
            "tower_lr": 0.003,
            "chunk": 5,
            "temperature": 0.2,
        },
        "test",
    )


@pytest.fixture
def made(host, tmp_path):
    """A recipe -> its training, and what it is."""

    def make(recipe):
        with FileDigests(None) as files:
            found = assemble(recipe, host, files, Place(store=tmp_path / "store", data_root=tmp_path))
        key = Key.of(recipe.seed).fold("train")
        return Training(found.pair, found.recipe, found.train, found.val, key, found.inputs), found

    return make


def encoder_of(host, path, **given):
    return trained(EncoderOptions(argument=str(path), files=FileDigests(None), host=host, **given))


def tower_names(state):
    return {name.split(".")[1] for name in state if name.startswith("towers.")}


# --- what an encoder gives ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-resnet"])
def test_a_tower_gives_the_features_of_its_encoder_and_shares_no_weight_with_it(host, tiny, name):
    found = host.find(Kind.ENCODER, f"{name}:{tiny}")
    encoder = host.load(found)(EncoderOptions(argument=str(tiny), files=FileDigests(None)))
    assert isinstance(encoder, Trainable)
    size = encoder.preprocess.size
    images = torch.randn(3, 3, size, size, generator=Key.of(0).torch_generator())
    before = encoder.encode_images(images), encoder.encode_texts(TEXTS)
    towers = [encoder.trainable(side) for side in Modality]
    given = [images, towers[1].tokenise(TEXTS)]
    for tower, inputs, expected in zip(towers, given, before, strict=True):
        # With a gradient torch takes another way through attention, in fp32 as well.
        torch.testing.assert_close(tower.module(inputs), expected, rtol=1e-4, atol=1e-5)
        tower.module(inputs).square().sum().backward()
        assert all(p.grad is not None for p in tower.module.parameters() if p.requires_grad)
        with torch.no_grad():
            for parameter in tower.module.parameters():
                parameter.add_(1.0)
    assert torch.equal(encoder.encode_images(images), before[0])
    assert torch.equal(encoder.encode_texts(TEXTS), before[1])
    assert towers[0].temperature == pytest.approx(0.07, rel=1e-5)  # open_clip's at the start, by way of a log


# --- training -----------------------------------------------------------------------------------


def test_plain_fine_tuning_learns(bare, made):
    training, _ = made(replace(bare, epochs=24))
    progress = training.run()
    # 14 captions of which each validation image has one, in 7 colours that are easy to see: chance is 1 of 14.
    assert progress.epochs[progress.best - 1].val.image_to_text > 0.4
    assert progress.epochs[-1].loss < 0.7 * math.log(14)


def test_without_heads_it_starts_at_the_encoders_own_temperature(bare, made):
    training, _ = made(replace(bare, temperature=None))
    assert float(training.pair.scale.detach()) == pytest.approx(
        1 / 0.07, rel=1e-5
    )  # open_clip's at the start


def test_chunks_give_the_gradient_of_the_whole_batch(bare, made):
    gradients = []
    for chunk in (3, 28):
        training, _ = made(replace(bare, chunk=chunk, batch=None, epochs=1))  # one step
        training.run()
        gradients.append({name: p.grad for name, p in training.pair.named_parameters() if p.requires_grad})
    assert tower_names(gradients[0]) == {"image", "text"}
    for name, value in gradients[0].items():
        # Sums of 28 rows in another order, in fp32; the largest entries are about 0.1.
        torch.testing.assert_close(value, gradients[1][name], rtol=1e-3, atol=1e-6, msg=name)


def test_heads_and_towers_learn_together_each_at_its_rate(bare, made):
    training, found = made(
        replace(
            bare, head=HeadKind.MLP, text_head=HeadKind.RESIDUAL, hidden=9, lr=0.01, tower_lr=1e-7, epochs=1
        )
    )
    before = {name: value.clone() for name, value in training.pair.state_dict().items()}
    training.run()
    moved = {
        name: float((value - before[name]).abs().max())
        for name, value in training.pair.state_dict().items()
        if name.endswith("weight")
    }
    assert moved["images.inner.weight"] > 1e-3
    towers = [by for name, by in moved.items() if name.startswith("towers.")]
    assert 0 < max(towers) < 1e-6  # two steps of at most 1e-7 each
    assert found.about["towers"] == ["image", "text"]


@pytest.mark.parametrize("side", ["image", "text"])
def test_one_tower_can_learn_beside_a_frozen_one(bare, made, side):
    training, _ = made(replace(bare, train_towers=(Modality(side),), epochs=1))
    training.run()
    assert tower_names(training.best) == {side}


def test_it_is_deterministic_and_touches_no_global_generator(bare, made):
    states = random_states()
    ends = []
    for _ in range(2):
        training, _ = made(replace(bare, epochs=1))
        training.run()
        ends.append(training.pair.state_dict())
    assert not changed_generators(states, random_states())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_bf16_runs_the_towers_in_bf16_and_learns_too(bare, made):
    widths = []
    training, _ = made(replace(bare, precision="bf16", epochs=8))
    layer = training.pair.towers["image"].model.visual.transformer.resblocks[0].mlp.c_fc
    layer.register_forward_hook(lambda module, inputs, output: widths.append(output.dtype))
    progress = training.run()
    # Training in bf16; validation in fp32, in which the encoder is asked by default.
    assert set(widths) == {torch.bfloat16, torch.float32}
    assert progress.epochs[-1].loss < 0.9 * progress.epochs[0].loss


def test_a_batch_normalised_tower_keeps_its_statistics_and_says_so(bare, made, tiny):
    training, found = made(replace(bare, encoder=f"tiny-resnet:{tiny}", epochs=2))
    assert any("the image tower normalises over batches" in note for note in found.notes)
    before = {name: value.clone() for name, value in training.pair.state_dict().items() if "running" in name}
    assert before
    training.run()
    after = training.pair.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


# --- what is kept -------------------------------------------------------------------------------


def test_the_trained_towers_come_back_as_an_encoder(bare, made, host, tiny, tmp_path):
    training, found = made(bare)
    training.run(TrainingFolder(tmp_path / "run", found.about))
    assert training.progress.best > 0
    encoder = encoder_of(host, tmp_path / "run")
    training.pair.load_state_dict(training.best)
    images = torch.randn(3, 3, 24, 24, generator=Key.of(1).torch_generator())
    tokens = encoder._learnt[Modality.TEXT].tokenise(TEXTS)
    with torch.inference_mode():
        expected = [
            training.pair.images(training.pair.towers["image"](images)),
            training.pair.texts(training.pair.towers["text"](tokens)),
        ]
    # Frozen weights go another way through attention, in fp32 as well.
    torch.testing.assert_close(encoder.encode_images(images), expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), expected[1], rtol=1e-4, atol=1e-5)
    frozen = host.load(host.find(Kind.ENCODER, f"tiny-clip:{tiny}"))(
        EncoderOptions(argument=str(tiny), files=FileDigests(None))
    )
    before = torch.nn.functional.normalize(frozen.encode_images(images), dim=1)
    assert (encoder.encode_images(images) - before).abs().max() > 0.01
    assert encoder.digest() != frozen.digest()


def test_features_of_trained_towers_are_not_those_of_the_untrained_ones_from_the_store(
    bare, made, host, tmp_path
):
    from lpcm.store.features import FeatureStore

    digests, rows = set(), []
    for seed in (0, 1):
        training, found = made(replace(bare, seed=seed, epochs=1))
        training.run(TrainingFolder(tmp_path / f"run{seed}", found.about))
        training.best = training.pair.state_dict()
        TrainingFolder(tmp_path / f"run{seed}", found.about).keep_pair(training)
        encoder = encoder_of(host, tmp_path / f"run{seed}")
        samples = found.inputs[0].images
        rows.append(FeatureStore(tmp_path / "store", FileDigests(None)).images(encoder, samples).features)
        digests.add(encoder.digest())
    assert len(digests) == 2
    assert not np.allclose(*rows, atol=1e-3)


def test_the_encoder_can_be_asked_in_half_precision(bare, made, host, tmp_path):
    training, found = made(replace(bare, epochs=1))
    training.run(TrainingFolder(tmp_path / "run", found.about))
    images = torch.randn(3, 3, 24, 24, generator=Key.of(1).torch_generator())
    whole = encoder_of(host, tmp_path / "run").encode_images(images)
    half = encoder_of(host, tmp_path / "run", precision=Precision.BF16).encode_images(images)
    assert 0 < (whole - half).abs().max() < 0.05  # unit rows; bf16 has 8 bits


def test_a_stopped_training_goes_on_to_the_same_bytes(bare, made, tmp_path):
    training, found = made(bare)
    training.run(TrainingFolder(tmp_path / "whole", found.about))

    class StopError(Exception):
        pass

    def stop(epoch):
        if epoch.number == 2:
            raise StopError

    training, found = made(bare)
    with pytest.raises(StopError):
        training.run(TrainingFolder(tmp_path / "halved", found.about), stop)
    told = []
    training, found = made(bare)
    training.run(TrainingFolder(tmp_path / "halved", found.about), told.append)
    assert [epoch.number for epoch in told] == [3, 4]
    for name in (checkpoint.PAIR, checkpoint.STATE, "epochs.jsonl", "recipe.json"):
        assert (tmp_path / "halved" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_full_disk_leaves_the_last_good_towers(bare, made, host, disk, tmp_path, monkeypatch):
    training, found = made(bare)
    folder = TrainingFolder(tmp_path / "run", found.about)
    fill, kept = disk(tmp_path / "run")
    with pytest.raises(LpcmError, match="the checkpoint before it is whole"):
        training.run(folder, fill)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == kept
    assert encoder_of(host, tmp_path / "run").encode_texts(TEXTS).isfinite().all()
    monkeypatch.undo()
    training, found = made(bare)
    assert len(training.run(folder).epochs) == 4


# --- bad input ----------------------------------------------------------------------------------


def test_an_encoder_without_such_towers_is_refused_with_those_that_have_them(bare, made, stored):
    with pytest.raises(
        UsageError, match=r"the image tower of encoder 'features:.*' cannot be trained"
    ) as caught:
        made(replace(bare, encoder=f"features:{stored}", dataset=("planted",)))
    assert "--encoder open-clip:ARCH/PRETRAINED" in caught.value.hint
    assert "tiny-clip:FOLDER" in caught.value.hint
    assert "vit-b16" in caught.value.hint
    assert "timm" not in caught.value.hint


@pytest.mark.parametrize("given", ["pictures", "image,pictures", ["image", 3]])
def test_a_side_that_is_none_is_refused(given):
    with pytest.raises(UsageError, match="train_towers is"):
        Recipe.parse({"train_towers": given}, "here")


def test_towers_have_no_part_in_the_identity_of_a_training_of_heads():
    assert not {"train_towers", "tower_lr", "chunk"} & set(Recipe.parse({"encoder": "a"}, "here").told())
    both = Recipe.parse({"encoder": "a", "train_towers": ["text", "image"]}, "here")
    assert both.told()["train_towers"] == ["image", "text"]
    assert Recipe.parse(both.told(), "there") == both


def rewritten(shapes, change):
    head, *rows = shapes.read_text().splitlines()
    shapes.write_text("\n".join([head, *change(rows)]) + "\n")


def one_caption(rows):
    return [f"{path},{label},a shape,{split}" for path, label, _, split in (row.split(",") for row in rows)]


def no_caption(rows):
    path, label, _, split = rows[0].split(",")
    return [f"{path},{label},,{split}", *rows[1:]]


def single(rows):
    return [rows[0], *(row for row in rows if row.endswith("val"))]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (one_caption, DataError, "all 28 images have the same caption"),
        (no_caption, DataError, "1 of 28 images of csv:.* train have no caption, first '0.png'"),
        (single, DataError, "there is 1 pair"),
    ],
)
def test_pairs_that_nothing_can_be_learnt_from_are_refused(bare, made, shapes, change, error, message):
    rewritten(shapes, change)
    with pytest.raises(error, match=message):
        made(replace(bare, batch=None))


def test_a_batch_that_is_larger_than_the_set_is_refused(bare, made):
    with pytest.raises(UsageError, match="batch is 29 and there are 28 pairs"):
        made(replace(bare, batch=29))


def test_a_temperature_that_runs_away_is_held_at_its_bound(bare, made):
    training, _ = made(replace(bare, temperature=0.5, max_scale=2.01, lr=0.05, epochs=6, tower_lr=0.01))
    assert training.run().clamped
    assert float(training.pair.scale.detach()) <= 2.01 * (1 + 1e-6)  # exp of a log, in float32


def test_weights_that_are_not_finite_stop_with_the_last_checkpoint_whole(bare, made, tmp_path):
    training, found = made(bare)

    def poison(epoch):
        if epoch.number == 2:
            with torch.no_grad():
                next(training.pair.towers["text"].parameters()).fill_(math.nan)

    with pytest.raises(DataError, match="the loss is nan at step 5") as caught:
        training.run(TrainingFolder(tmp_path / "run", found.about), poison)
    assert "--tower-lr 0.0003" in caught.value.hint
    _, told = checkpoint.read(tmp_path / "run" / checkpoint.STATE)
    assert [epoch["number"] for epoch in told["epochs"]] == [1, 2]


def test_an_image_that_is_damaged_is_left_out_and_said(bare, made, shapes):
    (shapes.parent / "5.png").write_bytes(b"no picture")
    training, found = made(bare)
    assert len(found.train) == 27
    assert any("1 of 28 images of csv:" in note and "'5.png'" in note for note in found.notes)
    training.run()


def test_an_image_that_is_gone_later_is_named(bare, made, shapes):
    training, _ = made(bare)
    (shapes.parent / "4.png").unlink()
    with pytest.raises(DataError, match=r"image '4\.png' cannot be read any more"):
        training.run()
