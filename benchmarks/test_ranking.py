"""Streamed retrieval ranks against a sorted matrix, a counted one, and CLIP_benchmark's recall where it is installed.

Run by itself, on an otherwise idle machine: ``pytest benchmarks/test_ranking.py -s``. Each contender answers the same
question on the same features, in both directions; peaks of memory are of the resident set, above what was there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lpcm.adapters.prompts import unit
from lpcm.keys import Key
from lpcm.metrics.ranking import figures, standings

N, CAPTIONS, D, KS = 5_000, 5, 512, (1, 5, 10)
GALLERY, PART = 250_000, 5_000  # one direction of 50,000 images: a tenth of the queries on all captions


def drawn(n: int, captions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features whose true pairs are close, as CLIP's are: (n, d), (n * captions, d), owners."""
    generator = Key.of(0).fold("pairs", n).generator()
    images = generator.standard_normal((n, D), dtype=np.float32)
    owners = np.repeat(np.arange(n), captions)
    texts = images[owners] + 5 * generator.standard_normal((len(owners), D), dtype=np.float32)
    return unit(images).astype(np.float32), unit(texts).astype(np.float32), owners


def streamed(images: np.ndarray, texts: np.ndarray, owners: np.ndarray) -> list[float]:
    rows = np.arange(len(texts))
    sides = ((images, texts, (owners, rows)), (texts, images, (rows, owners)))
    found = [figures(standings(queries, gallery, own), KS) for queries, gallery, own in sides]
    return [float(each.recall[k].mean()) for each in found for k in KS]


def sorted_matrix(images: np.ndarray, texts: np.ndarray, owners: np.ndarray) -> list[float]:
    """Ranks read off sorted rows: what a short script does."""
    scores = images @ texts.T
    order = np.argsort(-scores, axis=1)
    best = (owners[order] == np.arange(len(images))[:, None]).argmax(axis=1)
    found = [float((best < k).mean()) for k in KS]
    order = np.argsort(-scores.T, axis=1)
    place = (order == owners[:, None]).argmax(axis=1)
    return found + [float((place < k).mean()) for k in KS]


def counted_matrix(images: np.ndarray, texts: np.ndarray, owners: np.ndarray) -> list[float]:
    """Ranks counted in the full matrix: the least that can be done with it."""
    scores = images @ texts.T
    own = scores[owners, np.arange(len(texts))]
    best = np.maximum.reduceat(own, np.arange(0, len(texts), CAPTIONS))
    rank = np.count_nonzero(scores > best[:, None], axis=1)
    found = [float((rank < k).mean()) for k in KS]
    rank = np.count_nonzero(own[:, None] < scores.T, axis=1)
    return found + [float((rank < k).mean()) for k in KS]


def clip_benchmarks(images: np.ndarray, texts: np.ndarray, owners: np.ndarray) -> list[float]:
    """Its published functions on features as they are, with its default batch of 64."""
    import torch

    theirs: Any = import_module("clip_benchmark.metrics.zeroshot_retrieval")
    scores = torch.from_numpy(texts) @ torch.from_numpy(images).T
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[torch.arange(len(texts)), torch.from_numpy(owners)] = True

    def recall(x: torch.Tensor, y: torch.Tensor, k: int) -> float:
        return float((theirs.batchify(theirs.recall_at_k, x, y, 64, "cpu", k=k) > 0).float().mean())

    return [recall(scores.T, positive.T, k) for k in KS] + [recall(scores, positive, k) for k in KS]


def measured(run: Callable[..., Any], *arguments: Any) -> tuple[float, float, Any]:
    """Seconds, MiB above what was resident, and the answer."""
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    start = time.perf_counter()
    answer = run(*arguments)
    return time.perf_counter() - start, _resident("VmHWM") - before, answer


def _resident(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


@pytest.mark.slow
def test_streamed_ranks_are_those_of_the_matrix_in_a_fraction_of_its_memory():
    sides = drawn(N, CAPTIONS)
    contenders: dict[str, Callable[..., list[float]]] = {
        "streamed": streamed,
        "counted": counted_matrix,
        "sorted": sorted_matrix,
    }
    if find_spec("clip_benchmark"):
        contenders["CLIP_benchmark"] = clip_benchmarks
    streamed(*(side[:100] for side in sides[:1]), sides[1][:500], sides[2][:500])  # BLAS wakes up
    found = {name: measured(run, *sides) for name, run in contenders.items()}
    for name, (seconds, peak, answer) in found.items():
        print(f"{name}: {seconds:.2f} s, {peak:.0f} MiB, {[round(value, 5) for value in answer]}")
        # A float32 matrix may place a near tie on the other side: at most a few of 25,000 queries.
        assert answer == pytest.approx(found["streamed"][2], abs=3e-4), name
    assert found["streamed"][1] < 200
    assert found["sorted"][0] > 2 * found["streamed"][0]


@pytest.mark.slow
def test_a_quarter_of_a_million_captions_need_no_more_than_their_features_and_a_block():
    images, texts, owners = drawn(GALLERY // CAPTIONS, CAPTIONS)
    of, item = owners[: PART * CAPTIONS], np.arange(PART * CAPTIONS)
    seconds, peak, found = measured(standings, images[:PART], texts, (of, item))
    flops = 2 * PART * GALLERY * D
    print(f"{PART} x {GALLERY} x {D}: {seconds:.1f} s, {flops / seconds / 1e9:.0f} GFLOP/s, {peak:.0f} MiB")
    start = time.perf_counter()
    for first in range(0, GALLERY, 2048):
        images[:2048] @ texts[first : first + 2048].T
    products = (time.perf_counter() - start) * PART / 2048
    print(f"the products alone, in the same blocks: {products:.1f} s")
    assert peak < 400
    assert found.gallery == GALLERY
