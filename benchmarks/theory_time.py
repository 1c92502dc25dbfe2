"""Time to a held-out R^2: the recipe `full` beside the one of Zimmermann et al. 2021 in plain torch, one process.

    OMP_NUM_THREADS=1 python benchmarks/theory_time.py [R2] [FACTOR]

Seconds are processor time of the one thread, which other work on a machine hardly moves.

Sphere, d = 10, von Mises-Fisher of kappa 10, no latents of one side, mixings of three layers of condition 3. Ours runs
first; the other recipe (batch 6,144, Adam 1e-4, widths 10d, 50d x 4, 10d, raw inputs, matrix of logits, the right
temperature given to it) then has FACTOR times as long. It is stopped there: whether it got as far is the result.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional

from lpcm.geometries.sphere import Sphere
from lpcm.keys import Key
from lpcm.metrics.r2 import R2
from lpcm.theory.encoder import Encoder
from lpcm.theory.generative import GenerativeModel
from lpcm.theory.judging import value_of
from lpcm.theory.recipe import preset
from lpcm.theory.training import Temperature, encoders, train

KAPPA = 10.0


class Reached(Exception):  # noqa: N818
    """The goal was met."""


def main(goal: float, factor: float) -> None:
    """Print how long each took, or how far it got."""
    torch.set_num_threads(1)
    key = Key.of(0)
    space = Sphere(10, conditional=f"vmf:{KAPPA:g}")
    model = GenerativeModel.make(key, space, m=0)
    test = model.draw(key.fold("test"), 4096)
    best = 0.0

    def score(encoder: Encoder) -> float:
        nonlocal best
        best = value_of(R2(), test.z_x, encoder.encode(test.x))
        if best >= goal:
            raise Reached
        return best

    start = time.process_time()
    recipe = replace(preset("full", 10, {}), points=40, checkpoint=10**9)
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(
                model, space, recipe, Temperature.parse("learned", space), key, Path(folder),
                score=score, progress=lambda *said: None,
            )  # fmt: skip
    except Reached:
        pass
    ours = time.process_time() - start
    print(f"full: R^2 {best:.4f} after {ours:.0f} s", flush=True)

    theirs = preset("paper", 10, {})
    image, text = encoders(model, space, theirs, key)
    optimiser = torch.optim.Adam([*image.parameters(), *text.parameters()], lr=theirs.lr)
    start, step, last = time.process_time(), 0, 0.0
    while (spent := time.process_time() - start) < factor * ours:
        pairs = model.draw(key.fold("theirs", step), theirs.batch)
        logits = KAPPA * image(torch.from_numpy(pairs.x)) @ text(torch.from_numpy(pairs.t)).T
        target = torch.arange(len(logits))
        loss = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        step += 1
        if spent - last > ours / 4:
            last = spent
            found = value_of(R2(), test.z_x, image.encode(test.x))
            print(
                f"cl-ica: R^2 {found:.4f} after {spent:.0f} s ({spent / ours:.1f} x), {step} steps",
                flush=True,
            )
            if found >= goal:
                return


if __name__ == "__main__":
    main(*(float(text) for text in (sys.argv[1:] + ["0.9", "10"][len(sys.argv) - 1 :])))
