"""Time of a domain study whose cells share what they unmix, against the plain loop in which each cell fits its own.

Give an encoder and a dataset with domains; features are read from the store, results are not::

    LPCM_BENCH_ENCODER=lite0 LPCM_BENCH_DATASET=folder:pacs-mini LPCM_STORE=STORE pytest -s benchmarks/test_domains.py
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from lpcm.plugin.host import PluginHost
from lpcm.study.features import Features
from lpcm.study.runner import Run, Runner
from lpcm.study.spec import Study

ENCODER, DATASET = os.environ.get("LPCM_BENCH_ENCODER"), os.environ.get("LPCM_BENCH_DATASET")
STORE = Path(os.environ.get("LPCM_STORE", "~/.cache/lpcm")).expanduser()


def _study(**changes: str) -> Study:
    asked = {
        "encoder": ENCODER,
        "dataset": DATASET,
        "task": "domains",
        "adapter": "linear-probe,ncm",
        "seeds": "1",
        "set": ["domains.rule=training-domain,leave-one-domain-out,oracle"],
    }
    return Study.parse({**asked, **changes}, "benchmark")


def _timed(store: Path, out: Path, **changes: str) -> tuple[float, Run]:
    host = PluginHost.discover()
    start = time.process_time()
    run = Runner(host, store).run(_study(**changes), out)
    return time.process_time() - start, run


@pytest.mark.skipif(not (ENCODER and DATASET), reason="LPCM_BENCH_ENCODER and LPCM_BENCH_DATASET are not set")
def test_sharing_is_faster_than_the_plain_loop_and_gives_the_same(tmp_path, monkeypatch):
    stores = {}
    for name in ("warm-up", "shared", "plain"):
        stores[name] = tmp_path / name
        stores[name].mkdir()
        for part in ("features", "canaries"):
            if (STORE / part).is_dir():
                shutil.copytree(STORE / part, stores[name] / part)
    _timed(stores["warm-up"], tmp_path / "out-warm-up", disentangler="none", adapter="ncm")
    shared, run = _timed(stores["shared"], tmp_path / "out-shared")
    monkeypatch.setattr(Features, "disentangler", lambda self, address, make: make())
    plain, other = _timed(stores["plain"], tmp_path / "out-plain")
    assert [row["value"] for row in run.rows] == [row["value"] for row in other.rows]
    told = f"shared {shared:.1f} s, plain {plain:.1f} s, ratio {plain / shared:.2f}"
    print(f"\n{len(run.rows)} cells, processor time: {told}")
