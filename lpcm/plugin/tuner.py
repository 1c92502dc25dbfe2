"""Contract of a text tower that can be differentiated by the words before a class name. Imports no torch.

An encoder may have ``prompt_tuner() -> PromptTuner``; a study hands it to adapters as ``TextPrompts.tuner``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import torch


class PromptTuner(Protocol):
    """A frozen text tower that reads prompts of which some words are vectors.

    Attributes:
        width: w of the token embeddings, of which a context is made.
        device: where contexts are expected and features come out.
    """

    width: int
    device: torch.device

    def context_of(self, phrase: str) -> torch.Tensor:
        """Token embeddings of a phrase, without start and end: (m, w) float32, a copy."""
        ...

    def encode(
        self,
        context: torch.Tensor,
        names: Sequence[str],
        *,
        before: int | None = None,
        ending: str = ".",
    ) -> torch.Tensor:
        """Features of prompts ``context[:before] name context[before:] ending``, one a name.

        Args:
            context: (m, w), or (c, m, w) with one for each name; float32.
            names: c names.
            before: context vectors ahead of the name, 0 to m; ``None`` is all of them.
            ending: text behind it all.

        Returns:
            (c, d) float32 of unit norm, in the space of the encoder's features, differentiable in ``context`` and
            in nothing else.

        Raises:
            DataError: for a name that makes a prompt longer than the tower reads.
        """
        ...


MakeTuner: TypeAlias = Callable[[], PromptTuner]
"""Makes the tuner when it is needed. Raises ``UsageError`` that says why a text tower cannot be tuned."""
