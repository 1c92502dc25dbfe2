"""MiniLM as a function of the words before a class name, for prompt learning. Refuses to change a weight."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from lpcm.encoders.prompt_layout import Layout, Tokens


class MiniLMPromptTuner:
    """The text tower of `lite0` given word vectors; see ``lpcm.plugin.tuner.PromptTuner``.

    Args:
        model: the SentenceTransformer, frozen: a BERT, the mean over its tokens, unit norm.

    Source:
        Zhou et al. 2022 (CoOp), section 3.2; Reimers and Gurevych, "Sentence-BERT", arXiv 1908.10084, section 3.
    """

    def __init__(self, model: Any) -> None:
        self._bert = model[0].auto_model
        tokenizer = model.tokenizer

        def split(text: str) -> list[int]:
            # Without the limit that the tokenizer warns of: a prompt that is too long is refused by its name.
            return list(
                tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
            )

        self._tokens = Tokens(
            split, tokenizer.cls_token_id, tokenizer.sep_token_id, int(model.max_seq_length)
        )
        table = self._bert.get_input_embeddings()
        self.width = int(table.weight.shape[1])
        self.device = table.weight.device
        self._layout = lru_cache(maxsize=4)(self._lay_out)

    def context_of(self, phrase: str) -> torch.Tensor:
        """Word vectors of a phrase, without start and end: (m, w) float32, a copy."""
        ids = torch.tensor(self._tokens.split(phrase), dtype=torch.int64, device=self.device)
        with torch.no_grad():
            words: torch.Tensor = self._bert.get_input_embeddings()(ids)
        return words.float().clone()

    def encode(
        self,
        context: torch.Tensor,
        names: Sequence[str],
        *,
        before: int | None = None,
        ending: str = ".",
    ) -> torch.Tensor:
        """(m, w) or (c, m, w) context and c names -> (c, d) unit features, differentiable in the context."""
        layout = self._layout(tuple(names), context.shape[-2], before, ending)
        words = layout.embed(self._bert.get_input_embeddings(), context)
        mask = layout.mask()
        answers = self._bert(inputs_embeds=words, attention_mask=mask).last_hidden_state.float()
        sums = (answers * mask[:, :, None]).sum(1)
        # The mean over tokens and the sum over them have one direction.
        return torch.nn.functional.normalize(sums, dim=1)

    def _lay_out(self, names: tuple[str, ...], m: int, before: int | None, ending: str) -> Layout:
        return Layout.of(self._tokens, names, m, before, ending, self.device)
