"""Prompts of which some words are vectors, laid out for a text tower. Refuses prompts that the tower would cut.

A prompt is  start, context[:before], name, context[before:], ending, end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from lpcm.errors import DataError


@dataclass(frozen=True)
class Tokens:
    """How a tower's tokenizer works.

    Args:
        split: text to token ids, without start and end.
        start, end: ids that enclose every text.
        limit: tokens that the tower reads, with start and end.
    """

    split: Callable[[str], Sequence[int]]
    start: int
    end: int
    limit: int


@dataclass(frozen=True, eq=False)
class Layout:
    """Places of words and context vectors in c prompts, padded to the longest, L tokens.

    Args:
        ids: (c, L) int64 token ids; 0 where a context vector or nothing stands.
        slots: (c, L) int64 which context vector stands there; -1 where none does.
        lengths: (c,) int64 tokens of each prompt.
    """

    ids: torch.Tensor
    slots: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def of(
        cls,
        tokens: Tokens,
        names: Sequence[str],
        m: int,
        before: int | None,
        ending: str,
        device: torch.device,
    ) -> Layout:
        """Lay out one prompt a name; see ``lpcm.plugin.tuner.PromptTuner.encode``.

        Raises:
            DataError: for a name that makes a prompt longer than the tower reads.
        """
        place = m if before is None else before
        prompts = [_prompt(tokens, name, m, place, ending) for name in names]
        lengths = [len(prompt) for prompt in prompts]
        longest = max(lengths, default=0)
        if longest > tokens.limit:
            name = names[lengths.index(longest)]
            raise DataError(
                f"{m} context vectors and {name!r} make a prompt of {longest} tokens: the text tower reads"
                f" {tokens.limit}",
                "ask for a shorter context, or shorten the class name",
            )
        ids = torch.zeros(len(names), longest, dtype=torch.int64)
        slots = torch.full((len(names), longest), -1, dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            # A slot is written as -1 - its place: token ids are never negative.
            made = torch.tensor(prompt)
            ids[row, : len(prompt)] = made.clamp_min(0)
            slots[row, : len(prompt)] = (-1 - made).clamp_min(-1)
        return cls(ids.to(device), slots.to(device), torch.tensor(lengths).to(device))

    def embed(self, table: torch.nn.Embedding, context: torch.Tensor) -> torch.Tensor:
        """Word vectors of the prompts with the (m, w) or (c, m, w) context in its places: (c, L, w)."""
        words: torch.Tensor = table(self.ids)
        if not context.shape[-2]:
            return words
        c, length = self.ids.shape
        each = context.expand(c, *context.shape[-2:]).to(words.dtype)
        places = self.slots.clamp_min(0)[:, :, None].expand(c, length, words.shape[2])
        return torch.where(self.slots[:, :, None] >= 0, each.gather(1, places), words)

    def mask(self) -> torch.Tensor:
        """Which places hold a token: (c, L) int64, 1 or 0."""
        places = torch.arange(self.ids.shape[1], device=self.ids.device)
        return (places < self.lengths[:, None]).long()


def _prompt(tokens: Tokens, name: str, m: int, before: int, ending: str) -> list[int]:
    if not 0 <= before <= m:
        raise DataError(f"before is {before}: expected 0 to {m}, the number of context vectors")
    # Split together: an ending may join the last letters of a name, where all vectors stand ahead of both.
    words = list(tokens.split(name + ending))
    place = len(tokens.split(name))
    vectors = [-1 - slot for slot in range(m)]
    return [
        tokens.start,
        *vectors[:before],
        *words[:place],
        *vectors[before:],
        *words[place:],
        tokens.end,
    ]
