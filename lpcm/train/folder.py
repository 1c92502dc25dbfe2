"""A training's folder: its recipe, the pair, the state to go on from, the epochs. Refuses another training's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lpcm.errors import DataError, UsageError
from lpcm.store.atomic import write_bytes
from lpcm.store.digest import digest_of
from lpcm.train import checkpoint
from lpcm.train.loop import Epoch, Training

RECIPE, EPOCHS = "recipe.json", "epochs.jsonl"


class TrainingFolder:
    """Keeps the checkpoints of one training (``lpcm.train.loop.Keeper``).

    Args:
        path: made here.
        about: what the pair is: recipe, encoders and data with their digests; all of it is the training's identity.

    Raises:
        UsageError: when the folder belongs to something else.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self._about = dict(about)
        self._identity = digest_of(self._about)
        if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / RECIPE).exists())):
            raise UsageError(f"{path} is not the folder of a training", "give --out a new or empty folder")
        recipe = (json.dumps(self._about, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
        if (path / RECIPE).exists() and (path / RECIPE).read_bytes() != recipe:
            raise UsageError(
                f"{path} holds another training: its {RECIPE} differs from what is asked now",
                "give --out a new folder, or remove the old one",
            )
        write_bytes(path / RECIPE, recipe)

    def restore(self, training: Training) -> None:
        """Bring a training to where its last checkpoint was; leaves it alone when there is none."""
        path = self.path / checkpoint.STATE
        if not path.exists():
            return
        tensors, told = checkpoint.read(path)
        if told["identity"] != self._identity:
            raise DataError(f"{path} is of another training", f"remove it: rm {path}")
        try:
            training.pair.load_state_dict(_part(tensors, "now."))
            training.best = _part(tensors, "best.")
            for i, parameter in enumerate(_trained(training)):
                moments = _part(tensors, f"moments.{i}.")
                if moments:
                    training.optimiser.state[parameter] = {
                        # The count of steps stays where the optimiser keeps it.
                        name: moment if name == "step" else moment.to(parameter.device)
                        for name, moment in moments.items()
                    }
        except RuntimeError as error:
            raise DataError(f"{path} does not fit this training: {error}", f"remove it: rm {path}") from error
        progress = training.progress
        progress.epochs = [Epoch.read(epoch) for epoch in told["epochs"]]
        progress.best, progress.best_score = told["best"], told["best_score"]
        progress.steps, progress.clamped = told["steps"], told["clamped"]
        training.resume_schedule()

    def keep(self, training: Training) -> None:
        """Write the state, then the pair when its weights are new.

        Raises:
            LpcmError: when that cannot be written; the files from before are whole.
        """
        progress = training.progress
        moments = {
            f"moments.{i}.{name}": value
            for i, parameter in enumerate(_trained(training))
            for name, value in training.optimiser.state[parameter].items()
        }
        epochs = [epoch.told() for epoch in progress.epochs]
        told = {
            "identity": self._identity,
            "epochs": epochs,
            "best": progress.best,
            "best_score": progress.best_score,
            "steps": progress.steps,
            "clamped": progress.clamped,
        }
        if progress.best in (0, len(progress.epochs)) or not (self.path / checkpoint.PAIR).exists():
            self.keep_pair(training)
        now, best = training.pair.state_dict(), training.best
        tensors = {f"now.{name}": value for name, value in now.items()}
        tensors |= {f"best.{name}": value for name, value in best.items()}
        checkpoint.save(self.path / checkpoint.STATE, tensors | moments, told)
        write_bytes(self.path / EPOCHS, "".join(json.dumps(epoch) + "\n" for epoch in epochs).encode())

    def keep_pair(self, training: Training) -> None:
        """Write the best weights so far as a pair that an encoder can be made of."""
        progress = training.progress
        told = {**self._about, "epoch": progress.best}
        if progress.best:
            told["result"] = progress.epochs[progress.best - 1].told()
        checkpoint.save(self.path / checkpoint.PAIR, training.best, told)


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _trained(training: Training) -> list[torch.Tensor]:
    return [p for group in training.optimiser.param_groups for p in group["params"]]
