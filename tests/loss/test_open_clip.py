"""Swap the import, and training goes on: the modules do what open_clip's do."""

import inspect

import open_clip
import open_clip.loss
import pytest
import torch
from torch import nn

import lpcm

PAIRS = [(lpcm.ClipLoss, open_clip.loss.ClipLoss), (lpcm.SigLipLoss, open_clip.loss.SigLipLoss)]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_signatures_contain_theirs(ours, theirs):
    for method in ("__init__", "forward"):
        own = inspect.signature(getattr(ours, method)).parameters
        for name, parameter in inspect.signature(getattr(theirs, method)).parameters.items():
            assert name in own
            assert own[name].default == parameter.default, name
        positional = [n for n, p in own.items() if p.kind == p.POSITIONAL_OR_KEYWORD]
        assert positional == list(inspect.signature(getattr(theirs, method)).parameters)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("as_dict", [False, True])
def test_same_loss_and_gradients(ours, theirs, as_dict, towers, differentiate, relative):
    x, y = towers(65, 33)

    def call(module):
        def loss(x, y, s, b):
            out = module(x, y, s, b, output_dict=as_dict)
            return out["contrastive_loss"] if as_dict else out

        return loss

    truth = differentiate(call(theirs()), x, y, 14.0, -2.0)
    got = differentiate(call(ours()), x, y, 14.0, -2.0, dtype=torch.float32)
    for a, b in zip(got[:4], truth[:4], strict=True):
        assert relative(a, b) < 2e-5  # fp32's promise
    assert abs(got[4] - truth[4]) < 1e-5  # in the softmax loss the bias cancels: both are zero up to rounding


def test_wrong_ranks_and_horovod():
    with pytest.raises(ValueError, match="horovod"):
        lpcm.ClipLoss(use_horovod=True)
    with pytest.raises(ValueError, match="rank=2"):
        lpcm.ClipLoss(rank=2, world_size=2)
    with pytest.raises(ValueError, match="dist_impl"):
        lpcm.SigLipLoss(dist_impl="ring")
    with pytest.raises(RuntimeError, match="init_process_group"):
        lpcm.ClipLoss(rank=0, world_size=2)(torch.eye(2), torch.eye(2), 1.0)


class Towers(nn.Module):
    """Two small towers with the outputs and the scale of open_clip's model."""

    def __init__(self):
        super().__init__()
        self.image, self.text = (
            nn.Sequential(nn.Linear(24, 48), nn.GELU(), nn.Linear(48, 16)) for _ in range(2)
        )
        self.logit_scale = nn.Parameter(torch.tensor(2.6593))

    def forward(self, images, texts):
        normalize = nn.functional.normalize
        return {
            "image_features": normalize(self.image(images), dim=-1),
            "text_features": normalize(self.text(texts), dim=-1),
            "logit_scale": self.logit_scale.exp(),
        }


def test_fifty_steps_follow_the_same_curve():
    """The step of open_clip's trainer: forward, loss(**output, output_dict=True), sum of the dict, AdamW, clamp."""

    def curve(loss):
        torch.manual_seed(5)
        model = Towers()
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.2
        )
        mix = torch.randn(24, 24)
        losses = []
        for _ in range(50):
            images = torch.randn(64, 24)
            optimizer.zero_grad()
            out = loss(**model(images, images @ mix + 0.3 * torch.randn(64, 24)), output_dict=True)
            total = sum(out.values())
            total.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0, norm_type=2.0)
            optimizer.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, 4.6052)
            losses.append(total.item())
        return torch.tensor(losses)

    ours, theirs = curve(lpcm.ClipLoss()), curve(open_clip.loss.ClipLoss())
    assert theirs[-1] < theirs[0] - 0.5  # it learns
    torch.testing.assert_close(
        ours, theirs, rtol=1e-3, atol=0
    )  # the requirement; rounding grows over the steps
