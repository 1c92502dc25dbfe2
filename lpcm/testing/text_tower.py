"""A text tower of a few numbers, so that adapters that learn prompts can be checked. Refuses to be a language model.

It imports torch: the kit asks for it only where an adapter does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lpcm.keys import Key

WIDTH = 7
"""w of its token embeddings."""


class TinyTower:
    """One direction a name, pushed by what the words around it add up to; see ``lpcm.plugin.tuner.PromptTuner``.

        T_c = unit(direction_c + tanh(mean of V_c P) / 2)

    Args:
        directions: (c, d) what a prompt without context stands for.
        names: c texts, of the directions.
    """

    width = WIDTH

    def __init__(self, directions: torch.Tensor, names: Sequence[str]) -> None:
        self.device = directions.device
        self._directions, self._names = directions, tuple(names)
        generator = Key.of(0).fold("tiny-tower").torch_generator()
        self._inward = torch.randn(WIDTH, directions.shape[1], generator=generator)

    def context_of(self, phrase: str) -> torch.Tensor:
        """One drawn vector a word: (m, 7)."""
        words = [
            torch.randn(WIDTH, generator=Key.of(0).fold("word", w).torch_generator()) for w in phrase.split()
        ]
        return torch.stack(words)

    def encode(
        self,
        context: torch.Tensor,
        names: Sequence[str],
        *,
        before: int | None = None,
        ending: str = ".",
    ) -> torch.Tensor:
        """(m, 7) or (c, m, 7) context and c names -> (c, d) unit vectors."""
        places = [self._names.index(name) for name in names]
        pushed = torch.tanh(context.mean(-2) @ self._inward) / 2
        return torch.nn.functional.normalize(self._directions[places] + pushed, dim=1)
