"""Swap the import, and training goes on: the modules do what open_clip's do. Its trainer: test_open_clip_trainer.py."""

import inspect

import open_clip
import open_clip.loss
import pytest
import torch

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
