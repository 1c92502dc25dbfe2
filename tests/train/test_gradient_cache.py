"""Gradient-cached towers: the same features and gradients as the whole batch at once, in the memory of a chunk."""

import open_clip
import pytest
import torch
from torch import nn

from lpcm import contrastive_loss
from lpcm.encoders.towers import private_init
from lpcm.errors import UsageError
from lpcm.keys import Key
from lpcm.train.gradient_cache import GradientCached


def small_clip():
    """A CLIP of open_clip with two layers of width 16 in float64."""
    vision = {"layers": 2, "width": 16, "head_width": 8, "patch_size": 8, "image_size": 16}
    text = {"layers": 2, "width": 16, "heads": 2, "context_length": 7, "vocab_size": 50}
    with private_init():
        model = open_clip.CLIP(embed_dim=11, vision_cfg=vision, text_cfg=text)
    return model.double().train()


def loss_of(model, images, texts, chunk):
    towers = [model.encode_image, model.encode_text]
    if chunk is not None:
        towers = [GradientCached(tower, chunk) for tower in towers]
    return contrastive_loss(towers[0](images), towers[1](texts), model.logit_scale.exp(), normalize=True)


@pytest.mark.parametrize("chunk", [1, 4, 9, 100])
def test_gradients_of_a_clip_equal_those_of_the_whole_batch(chunk):
    model = small_clip()
    draws = Key.of(0).torch_generator()
    images = torch.randn(9, 3, 16, 16, generator=draws, dtype=torch.float64)
    texts = torch.randint(1, 50, (9, 7), generator=draws)
    found = []
    for cut in (None, chunk):
        model.zero_grad()
        value = loss_of(model, images, texts, cut)
        value.backward()
        found.append([value.detach(), *(p.grad.clone() for p in model.parameters())])
    assert len(found[0]) > 30
    for whole, cached in zip(*found, strict=True):
        torch.testing.assert_close(whole, cached, rtol=1e-9, atol=1e-12)  # sums in another order, in float64


def test_nothing_of_a_tower_but_its_inputs_is_kept_between_the_passes():
    tower = nn.Sequential(nn.Linear(5, 64), nn.Tanh(), nn.Linear(64, 2))
    inputs = torch.ones(10, 5)

    def kept(tower):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            tower(inputs)
        return sum(sizes)

    assert kept(tower) >= 10 * 64
    assert kept(GradientCached(tower, 3)) <= inputs.numel()


def test_random_layers_draw_the_same_when_they_are_asked_again():
    tower = nn.Sequential(nn.Linear(5, 64, dtype=torch.float64), nn.Dropout(0.5))
    out = GradientCached(tower, 3)(torch.ones(7, 5, dtype=torch.float64))
    out.sum().backward()
    # The gradient of the bias counts the units that were kept, each times 2.
    assert torch.equal(tower[0].bias.grad, 2 * (out.detach() != 0).sum(0).double())


def test_statistics_of_a_batch_are_refused_in_training_and_fine_in_evaluation():
    tower = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with pytest.raises(UsageError, match="layer '1' normalises over its batch"):
        GradientCached(tower, 2)(torch.ones(4, 3))
    assert GradientCached(tower.eval(), 2)(torch.ones(4, 3)).shape == (4, 3)


@pytest.mark.parametrize("chunk", [0, -1, 2.0, True])
def test_a_chunk_that_is_no_count_is_refused(chunk):
    with pytest.raises(UsageError, match="chunk is"):
        GradientCached(nn.Linear(3, 3), chunk)
