"""open_clip's own trainer with its loss and with ours: do the curves agree, and what does a step cost?

    python benchmarks/open_clip_trainer.py                      softmax loss, 50 steps of 64 pairs
    python benchmarks/open_clip_trainer.py --batch 1024         where the loss starts to weigh
    python benchmarks/open_clip_trainer.py --siglip --accumulate 2 --precision amp_bf16

What runs is `open_clip_train.train.train_one_epoch` on a small CLIP, with the arguments, the optimiser's groups, the
schedule and the loss that open_clip makes from them; ours is swapped in by name, as a user would. Refuses pairs without
structure (open_clip's own synthetic set repeats one image and one caption): a curve that cannot fall shows nothing.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import statistics
import sys
from dataclasses import asdict, dataclass
from unittest import mock

import torch
from torch import Tensor, nn

IMAGE, PATCH, WORDS, CONTEXT, WIDTH, D = 32, 8, 40, 12, 48, 32
END = WORDS + 1  # the largest token: CLIP's text tower reads the caption there


@dataclass(frozen=True)
class Curve:
    """What the trainer logged at every step: the loss, e^logit_scale before the step, seconds of a step."""

    loss: list[float]
    scale: list[float]
    seconds: list[float]


@dataclass(frozen=True)
class Pairs:
    """A loader of open_clip: batches of images (b, 3, 32, 32) and captions (b, 12), which both say the same words."""

    batches: list[tuple[Tensor, Tensor]]

    @property
    def dataloader(self) -> Pairs:
        """Itself: what open_clip's `DataInfo` has under this name."""
        return self

    @property
    def num_batches(self) -> int:
        """As open_clip's loaders say it."""
        return len(self.batches)

    @property
    def num_samples(self) -> int:
        """As open_clip's loaders say it."""
        return sum(len(images) for images, _ in self.batches)

    def set_epoch(self, epoch: int) -> None:
        """Nothing to shuffle: both losses must see the same batches."""

    def __iter__(self):
        return iter(self.batches)


class Log:
    """Takes the place of the trainer's TensorBoard writer, so that the curve is the one that the trainer reports."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Keep `value`; steps come in order."""
        self.values.setdefault(name, []).append(float(value))


def pairs(batch: int, batches: int, seed: int) -> Pairs:
    """Captions of random words; an image holds each word's own pattern in that word's patch, and noise."""
    g = torch.Generator().manual_seed(seed)
    patterns = torch.randn(WORDS, 3, PATCH, PATCH, generator=g)
    places = IMAGE // PATCH
    made = []
    for _ in range(batches):
        words = torch.randint(1, WORDS, (batch, CONTEXT - 1), generator=g)
        images = 0.5 * torch.randn(batch, 3, IMAGE, IMAGE, generator=g)
        for position in range(CONTEXT - 1):
            row, column = divmod(position, places)
            images[:, :, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] += patterns[
                words[:, position]
            ]
        made.append((images, torch.cat([words, torch.full((batch, 1), END)], dim=1)))
    return Pairs(made)


def small_clip(seed: int, *, siglip: bool) -> nn.Module:
    """open_clip's own CLIP of two layers a tower; its scale and bias start as open_clip starts them."""
    import open_clip

    with torch.random.fork_rng(devices=[]):  # its layers draw from the global generator and take no other
        torch.manual_seed(seed)
        return open_clip.CLIP(
            D,
            {"image_size": IMAGE, "patch_size": PATCH, "width": WIDTH, "layers": 2, "head_width": 24},
            {"context_length": CONTEXT, "vocab_size": END + 1, "width": WIDTH, "heads": 2, "layers": 2},
            init_logit_scale=math.log(10.0) if siglip else math.log(1 / 0.07),
            init_logit_bias=-10.0 if siglip else None,
            output_dict=True,
        )


def trainer_arguments(batch: int, *, siglip: bool, accumulate: int, precision: str) -> argparse.Namespace:
    """open_clip's command line, parsed by open_clip."""
    from open_clip_train.params import parse_args

    line = f"--batch-size {batch} --lr 1e-3 --warmup 5 --wd 0.2 --grad-clip-norm 1.0 --log-every-n-steps 1"
    line += f" --precision {precision} --accum-freq {accumulate}" + (" --siglip" if siglip else "")
    args = parse_args(line.split())
    # what `open_clip_train.main` adds for one process on the CPU
    args.device, args.distributed, args.rank, args.local_rank, args.world_size = "cpu", False, 0, 0, 1
    args.distill, args.wandb = False, False
    return args


def train(args: argparse.Namespace, model: nn.Module, data: Pairs, *, ours: bool) -> Curve:
    """One epoch of open_clip's trainer on a copy of `model`, with the loss that `create_loss` makes of `args`.

    AdamW has the groups that `open_clip_train.main` gives it: no decay for gains, biases and the scale.
    """
    import open_clip
    import open_clip.factory
    import open_clip.loss
    from open_clip_train.scheduler import cosine_lr
    from open_clip_train.train import train_one_epoch

    import lpcm

    model = copy.deepcopy(model)
    small = [p for name, p in model.named_parameters() if p.ndim < 2 or "logit_scale" in name]
    large = [p for name, p in model.named_parameters() if p.ndim >= 2 and "logit_scale" not in name]
    optimizer = torch.optim.AdamW(
        [{"params": small, "weight_decay": 0.0}, {"params": large, "weight_decay": args.wd}],
        lr=args.lr,
        betas=(args.beta1, args.beta2),
        eps=args.eps,
    )
    made = lpcm if ours else open_clip.loss
    with mock.patch.multiple(open_clip.factory, ClipLoss=made.ClipLoss, SigLipLoss=made.SigLipLoss):
        loss = open_clip.create_loss(args)
    if ours is not type(loss).__module__.startswith("lpcm"):
        raise RuntimeError(
            f"open_clip made a {type(loss).__module__}.{type(loss).__name__}: not what was asked for"
        )
    log = Log()
    schedule = cosine_lr(optimizer, args.lr, args.warmup, data.num_batches // args.accum_freq)
    train_one_epoch(model, {"train": data}, loss, 0, optimizer, None, schedule, None, args, tb_writer=log)
    return Curve(*(log.values[f"train/{name}"] for name in ("loss", "scale", "batch_time")))


def curves(
    *,
    batch: int = 64,
    steps: int = 50,
    siglip: bool = False,
    accumulate: int = 1,
    precision: str = "fp32",
    seed: int = 5,
) -> tuple[Curve, Curve]:
    """The curves of (our loss, open_clip's loss) from the same model on the same pairs."""
    args = trainer_arguments(batch, siglip=siglip, accumulate=accumulate, precision=precision)
    model = small_clip(seed, siglip=siglip)
    data = pairs(batch, steps * accumulate, seed)
    return train(args, model, data, ours=True), train(args, model, data, ours=False)


def deviation(ours: Curve, theirs: Curve) -> float:
    """Largest difference of the two losses at a step, relative to open_clip's."""
    return max(abs(a - b) / abs(b) for a, b in zip(ours.loss, theirs.loss, strict=True))


def main(argv: list[str] | None = None) -> int:
    """Print both curves and how far apart they are; the exit status is 1 when that is more than --within."""
    p = argparse.ArgumentParser(description="Run open_clip's trainer with its loss and with lpcm's.")
    p.add_argument("--batch", type=int, default=64, help="pairs of a step (default: 64)")
    p.add_argument("--steps", type=int, default=50, help="steps of the optimiser (default: 50)")
    p.add_argument("--accumulate", type=int, default=1, help="open_clip's --accum-freq (default: 1)")
    p.add_argument("--precision", default="fp32", help="open_clip's --precision (default: fp32)")
    p.add_argument("--siglip", action="store_true", help="the sigmoid loss")
    p.add_argument("--seed", type=int, default=5, help="of the model and the pairs (default: 5)")
    p.add_argument("--within", type=float, default=1e-3, help="largest relative difference (default: 1e-3)")
    p.add_argument("--json", action="store_true", help="JSON in place of the table")
    given = vars(p.parse_args(argv))
    within, as_json = given.pop("within"), given.pop("json")
    ours, theirs = curves(**given)
    apart = deviation(ours, theirs)
    # the first steps also pay for the compiler's and the allocator's warmth
    seconds = [statistics.median(c.seconds[len(c.seconds) // 5 :]) for c in (ours, theirs)]
    if as_json:
        curve = {"lpcm": asdict(ours), "open_clip": asdict(theirs)}
        print(json.dumps({**given, "deviation": apart, "curves": curve}))
    else:
        print(f"{'step':>6}{'open_clip':>12}{'lpcm':>12}")
        for step in sorted({*range(0, len(ours.loss), 10), len(ours.loss) - 1}):
            print(f"{step:>6}{theirs.loss[step]:>12.6f}{ours.loss[step]:>12.6f}")
        print(f"largest relative difference of {len(ours.loss)} steps: {apart:.1e}")
        print(
            f"a whole step, towers and all: {seconds[1] / seconds[0]:.2f} times as fast as with open_clip's loss"
        )
    return int(apart > within)


if __name__ == "__main__":
    sys.exit(main())
