"""Training: the same numbers whether stopped or not, no latent looked at, axes found by the loss that sees them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lpcm.disentanglers.haar import haar
from lpcm.errors import DataError, UsageError
from lpcm.geometries.box import Box
from lpcm.geometries.sphere import Sphere
from lpcm.geometries.unbounded import Unbounded
from lpcm.keys import Key
from lpcm.metrics.mcc import MCC
from lpcm.metrics.r2 import R2
from lpcm.theory.encoder import Activation, Encoder, Shape, Whitening
from lpcm.theory.generative import GenerativeModel
from lpcm.theory.judging import judge, value_of
from lpcm.theory.objective import space_loss
from lpcm.theory.recipe import PRESETS, Optimiser, Recipe, preset
from lpcm.theory.supervised import supervised
from lpcm.theory.training import Temperature, train
from lpcm.theory.turn import turned

KEY = Key.of(0)
SMALL = Recipe(
    batch=128,
    steps=12,
    lr=5e-3,
    shape=Shape((17,), Activation.GENTLE),
    optimiser=Optimiser.MUON,
    warm_up=2,
    explore=0.5,
    restarts=2,
    turn_steps=3,
    coarse=0.5,
    checkpoint=4,
    points=6,
)


class StoppedError(Exception):
    pass


def run(workspace, *, space=None, recipe=SMALL, stop_at=None, temperature="learned", layers=3, m=1):
    space = space or Box(3, conditional="laplace:0.2")
    model = GenerativeModel.make(KEY.fold("model"), space, m=m, layers=layers)
    told = []

    def progress(done, total, said):
        told.append(done)
        if done == stop_at:
            raise StoppedError

    trained = train(
        model,
        space,
        recipe,
        Temperature.parse(temperature, space),
        KEY.fold("train"),
        workspace,
        score=lambda encoder: 0.0,
        progress=progress,
    )
    return trained, model, told


def weights(trained):
    return torch.cat([p.detach().flatten() for e in (trained.image, trained.text) for p in e.parameters()])


@pytest.mark.parametrize("stop_at", [6, 8, 10], ids=["in-explore", "after-the-turn", "in-refine"])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(tmp_path, stop_at):
    whole, _, told = run(tmp_path / "whole")
    with pytest.raises(StoppedError):
        run(tmp_path / "halves", stop_at=stop_at)
    rest, _, resumed = run(tmp_path / "halves")
    assert len(resumed) < len(told)
    assert torch.equal(weights(rest), weights(whole))
    assert repr(rest.curve) == repr(whole.curve)
    assert (rest.scale, rest.turns) == (whole.scale, whole.turns)


def test_the_checkpoint_of_another_training_is_not_taken(tmp_path):
    run(tmp_path)
    _, _, told = run(tmp_path, recipe=replace(SMALL, lr=1e-3))
    assert told[0] == 2  # from the start


def test_a_checkpoint_that_was_cut_short_is_no_checkpoint(tmp_path):
    whole, _, _ = run(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    again, _, told = run(tmp_path)
    assert told[0] == 2
    assert torch.equal(weights(again), weights(whole))


def test_a_loss_that_is_no_number_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="loss is"):
        run(tmp_path, recipe=replace(SMALL, lr=1e30, muon_lr=1e30, coarse=0.0))


@pytest.mark.parametrize("optimiser", list(Optimiser))
def test_linear_mixings_of_a_sphere_are_undone_up_to_a_rotation(tmp_path, optimiser):
    recipe = replace(
        SMALL, batch=512, steps=150, optimiser=optimiser, lr=2e-2, shape=Shape((33,), Activation.GENTLE)
    )
    trained, model, _ = run(tmp_path, space=Sphere(3, conditional="vmf:10"), recipe=recipe, layers=1)
    test = model.draw(KEY.fold("test"), 1001)
    codes = trained.image.encode(test.x)
    # Seconds of training: the claim is that it learns, identity being far below; how well is docs/results/theory.md.
    assert value_of(R2(), test.z_x, codes) > 0.9
    assert value_of(R2(), test.m_x, codes) < 0.1
    assert np.allclose(np.linalg.norm(codes, axis=1), 1, atol=1e-5)  # float32 norms


def test_a_fixed_temperature_stays_and_a_learnt_one_moves(tmp_path):
    space = Sphere(3, conditional="vmf:10")
    assert run(tmp_path / "a", space=space, temperature=2.0)[0].scale == pytest.approx(20.0)
    assert run(tmp_path / "b", space=space)[0].scale != pytest.approx(3.0, abs=1e-6)


@pytest.mark.parametrize("text", ["warm", 0, -1, "nan"])
def test_impossible_temperatures_are_refused(text):
    with pytest.raises(UsageError, match="temperature"):
        Temperature.parse(text, Sphere(3))


def test_a_factor_on_a_scale_that_the_theory_does_not_name_is_refused():
    with pytest.raises(UsageError, match="names none"):
        Temperature.parse(1, Sphere(3, conditional="laplace:0.1"))


def planted(space, n=4096):
    """What a network would give that found latents up to a rotation, and the latents."""
    z_x = space.sample_marginal(KEY, n)
    z_t = space.sample_conditional(KEY, z_x)
    rotation = haar(space.dim, Key.of(5).generator())
    return z_x, *(torch.from_numpy(side @ rotation).float() for side in (z_x, z_t))


def test_the_turn_finds_the_axes_of_a_box_that_was_rotated():
    space = Box(4, conditional="laplace:0.1")
    z, x, t = planted(space)
    found = turned(x, t, space, replace(SMALL, restarts=3, turn_steps=150), 3.0, True, KEY)
    codes = (x @ found.weight.T + found.bias).numpy()
    assert len(found.losses) == 3
    assert value_of(MCC(), z, x.numpy()) < 0.85  # before: a rotation
    assert value_of(MCC(), z, codes) > 0.97  # 150 steps on 2,048 pairs


def test_for_a_loss_that_is_blind_to_rotations_the_turn_is_a_rotation():
    space = Box(4, conditional="normal:0.1")
    _, x, t = planted(space)
    found = turned(x, t, space, SMALL, 3.0, True, KEY)
    codes = (x @ found.weight.T + found.bias).double()
    # Whitened, then turned: the covariance is a multiple of the identity, up to float32.
    covariance = torch.cov(codes.T)
    assert torch.allclose(covariance, covariance[0, 0] * torch.eye(4).double(), atol=1e-4)
    assert len(found.losses) == 1


def test_whitening_gives_unit_covariance_and_refuses_rows_without_width():
    rows = KEY.generator().standard_normal((501, 3)) @ np.diag([1.0, 5.0, 0.1])
    white = Whitening(rows)(torch.from_numpy(rows).float())
    assert torch.allclose(torch.cov(white.T), torch.eye(3), atol=1e-3)  # float32 of a spread of 50
    with pytest.raises(DataError, match="directions"):
        Whitening(np.outer(rows[:, 0], [1.0, 2.0, 3.0]))


def test_a_turn_is_the_same_map_as_one_after_the_network():
    encoder = Encoder(torch.nn.Identity(), 5, 3, Shape((7,)), torch.nn.Identity(), KEY)
    x = torch.from_numpy(KEY.generator().standard_normal((9, 5))).float()
    weight, bias = torch.from_numpy(haar(3, KEY.generator())).float(), torch.arange(3.0)
    expected = encoder(x) @ weight.T + bias
    encoder.turn(weight, bias)
    assert torch.allclose(encoder(x), expected, atol=1e-5)


def test_the_supervised_baseline_beats_the_raw_observations(tmp_path):
    model = GenerativeModel.make(KEY, Unbounded(3), m=1)
    encoder = supervised(model, replace(SMALL, steps=400, batch=256), KEY)
    test = model.draw(KEY.fold("test"), 1001)
    raw, shown = (value_of(MCC(), test.z_x, codes) for codes in (test.x, encoder.encode(test.x)))
    # Seconds of training: the claim is the order, the height that it learns at all.
    assert shown > 0.9 > raw


def test_judging_comes_with_floors_below_perfect_codes():
    z = KEY.generator().uniform(size=(1001, 3))
    judged = judge(MCC(), z, -2 * z[:, ::-1], KEY)
    assert judged.value == pytest.approx(1)
    assert set(judged.per_latent) == {"z1", "z2", "z3"}
    assert (
        judged.null["permutation"] < 0.15 < judged.null["rotation"] < 0.95
    )  # sqrt(2 ln 3 / n), and a rotation of 3
    assert judged.draws.mean() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_recipes_and_changes_replace_their_fields(name):
    assert preset(name, 10, {"steps": 77, "batch": None}).steps == 77


def test_a_faint_signal_gets_more_pairs_and_smaller_blocks():
    usual, faint = (preset("full", 10, {}, signal) for signal in (0.6, 0.1))
    assert faint.steps * faint.batch > 10 * usual.steps * usual.batch
    assert faint.block < faint.batch
    assert preset("quick", 10, {}, 0.1) == preset("quick", 10, {}, 0.6)


@pytest.mark.parametrize("block", [2, 43, 64, 128, 4096])
def test_a_loss_in_blocks_is_the_mean_over_blocks(tmp_path, block):
    # Two steps at no rate: the first point of the curve holds the loss of the first batch.
    recipe = replace(SMALL, steps=2, block=block, explore=0.0, coarse=0.0, lr=1e-30, muon_lr=1e-30, warm_up=0)
    trained, made, _ = run(tmp_path, recipe=recipe)
    space = Box(3, conditional="laplace:0.2")
    pairs = made.draw(KEY.fold("train").fold("refine", 0), 128)
    x, t = (
        encoder(torch.from_numpy(rows)).detach().tensor_split(max(1, round(128 / block)))
        for encoder, rows in ((trained.image, pairs.x), (trained.text, pairs.t))
    )
    parts = [space_loss(space, a, b, torch.tensor(trained.scale)) for a, b in zip(x, t, strict=True)]
    # The curve is rounded to six digits.
    assert trained.curve[0].loss == pytest.approx(float(torch.stack(parts).mean()), abs=2e-6)


def test_unknown_presets_and_impossible_changes_are_refused():
    with pytest.raises(UsageError, match="quick"):
        preset("quik", 10, {})
    with pytest.raises(UsageError, match="batch"):
        preset("quick", 10, {"batch": 1})
    with pytest.raises(UsageError, match="block is 1"):
        preset("quick", 10, {"block": 1})
