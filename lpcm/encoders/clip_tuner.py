"""CLIP's own text transformer as a function of the words before a class name, for prompt learning.

It refuses towers that it cannot repeat token for token: those of transformers, and those that do not look
backwards only (SigLIP), since there padding has a part in the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from lpcm.encoders.prompt_layout import Layout, Tokens
from lpcm.errors import UsageError


class ClipPromptTuner:
    """The text tower of a model of open_clip; see ``lpcm.plugin.tuner.PromptTuner``.

    Args:
        model: as ``open_clip.create_model`` gives it, frozen.
        tokenizer: open_clip's own, byte pairs.
        name: of the encoder, for the errors.

    Raises:
        UsageError: when the tower is not CLIP's own transformer.

    Source: Zhou et al. 2022 (CoOp), section 3.2; the tower is that of Radford et al. 2021, section 2.4.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        # CLIP keeps its text tower in itself, the other models in `text`.
        tower = model if hasattr(model, "token_embedding") else model.text
        why = _strange(tower)
        if why:
            raise UsageError(
                f"the text tower of {name!r} cannot be tuned: {why}",
                "prompt learning needs CLIP's own text transformer, for example --encoder vit-b16",
            )
        self._tower = tower
        self._tokens = Tokens(
            tokenizer.encode, tokenizer.sot_token_id, tokenizer.eot_token_id, len(tower.positional_embedding)
        )
        self.width = int(tower.token_embedding.weight.shape[1])
        self.device = tower.token_embedding.weight.device
        self._layout = lru_cache(maxsize=4)(self._lay_out)

    def context_of(self, phrase: str) -> torch.Tensor:
        """Token embeddings of a phrase, without start and end: (m, w) float32, a copy."""
        ids = torch.tensor(self._tokens.split(phrase), dtype=torch.int64, device=self.device)
        with torch.no_grad():
            return self._tower.token_embedding(ids).float().clone()  # type: ignore[no-any-return]

    def encode(
        self,
        context: torch.Tensor,
        names: Sequence[str],
        *,
        before: int | None = None,
        ending: str = ".",
    ) -> torch.Tensor:
        """(m, w) or (c, m, w) context and c names -> (c, d) unit features, differentiable in the context."""
        tower = self._tower
        layout = self._layout(tuple(names), context.shape[-2], before, ending)
        dtype = tower.transformer.get_cast_dtype()
        # Tokens look backwards only, so what is behind the end token need not be there.
        length = layout.ids.shape[1]
        x = layout.embed(tower.token_embedding, context).to(dtype)
        x = x + tower.positional_embedding[:length].to(dtype)
        x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
        ends = x[torch.arange(len(x), device=x.device), layout.lengths - 1]
        projection = tower.text_projection
        if isinstance(projection, torch.nn.Linear):
            ends = projection(ends)
        elif projection is not None:
            ends = ends @ projection
        return torch.nn.functional.normalize(ends.float(), dim=1)

    def _lay_out(self, names: tuple[str, ...], m: int, before: int | None, ending: str) -> Layout:
        return Layout.of(self._tokens, names, m, before, ending, self.device)


def _strange(tower: Any) -> str:
    """Why a tower is not CLIP's own; empty when it is."""
    if not hasattr(tower, "token_embedding"):
        return f"it is transformers' {type(getattr(tower, 'transformer', tower)).__name__}"
    if getattr(tower, "attn_mask", None) is None:
        return "its tokens look in both directions, so that padding is read too"
    if getattr(tower, "cls_emb", None) is not None:
        return "it reads its answer from a token that it adds itself"
    pooling = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)
    if pooling not in ("argmax", "eos"):
        return f"it pools by {pooling!r}, not at the end token"
    return ""
