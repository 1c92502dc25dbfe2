"""The kit itself: what cannot be judged is skipped, what is announced and sound passes, and reports say so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lpcm.errors import MissingError
from lpcm.keys import Key
from lpcm.plugin.host import PluginHost
from lpcm.plugin.loader import PluginState, Status
from lpcm.plugin.records import (
    EncoderRecord,
    Kind,
    MetricRecord,
)
from lpcm.testing import (
    Check,
    Outcome,
    Report,
    Subject,
    catalogue,
    check_plugin,
    checks_for,
    checks_of,
    run_checks,
)

pytestmark = pytest.mark.usefixtures("generators_put_back")


ENCODER = EncoderRecord(name="absent", summary="s", loader="a:b")
METRIC = MetricRecord(name="sound", summary="s", loader="a:b")


class SoundMetric:
    card = "share of right predictions"

    def __call__(self, truth: np.ndarray, prediction: np.ndarray) -> float:
        return float((truth == prediction).mean())

    def null(self, key: Any, truth: np.ndarray, prediction: np.ndarray) -> float:
        return 1 / len(set(truth.tolist()))


def test_what_is_missing_here_is_skipped_with_its_reason_and_never_passed() -> None:
    def weights(options: Any) -> Any:
        raise MissingError("the weights are not on this machine", "get them")

    checks = run_checks(checks_of(ENCODER.kind), Subject.of_object(ENCODER, weights))
    assert {c.name for c in checks if c.outcome is Outcome.PASSED} == {"loader_resolves"}
    skipped = [c for c in checks if c.outcome is Outcome.SKIPPED]
    assert len(skipped) == len(checks) - 1
    assert all("the weights are not on this machine" in c.detail or "process" in c.detail for c in skipped)


def test_a_thing_that_needs_an_argument_is_skipped_without_one_and_checked_with_it() -> None:
    record = replace(METRIC, takes="PATH")
    without = run_checks(checks_of(record.kind), Subject.of_object(record, SoundMetric))
    assert {c.outcome for c in without} == {Outcome.SKIPPED}
    assert "sound:PATH" in without[0].detail
    with_one = run_checks(checks_of(record.kind), Subject.of_object(record, SoundMetric, "x"))
    assert Outcome.PASSED in {c.outcome for c in with_one}


def test_a_report_with_nothing_but_skips_does_not_pass() -> None:
    skipped = Check(Outcome.SKIPPED, "encoder absent", "loader_resolves", "no weights")
    report = Report("mine 1.0", [skipped])
    assert not report.passed
    assert (
        report.verdict
        == "mine 1.0: was not checked against lpcm plugin interface 1.0 (0 passed, 0 failed, 1 skipped)"
    )
    assert json.loads(json.dumps(skipped.as_json()))["outcome"] == "skipped"


def test_one_failure_is_enough_not_to_pass() -> None:
    checks = [Check(outcome, "metric m", "a_claim") for outcome in (Outcome.PASSED, Outcome.FAILED)]
    assert not Report("mine 1.0", checks).passed
    assert "does not conform" in Report("mine 1.0", checks).verdict


def test_every_check_reads_as_a_claim_and_says_what_it_claims() -> None:
    for kind, checks in catalogue().items():
        names = [name for name, _ in checks]
        assert len(names) == len(set(names)) > 8, kind
        assert all(re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name) for name in names)
        assert all(claim.endswith(".") for _, claim in checks)


def test_a_slow_import_is_a_failed_check() -> None:
    state = PluginState("slow", "slow", "1.0", Status.OK, notes=("importing it took 2.0 s",))
    outcomes = {check.name: check.outcome for check in check_plugin(state).checks}
    assert outcomes == {"plugin_loads": Outcome.PASSED, "plugin_is_ok_without_notes": Outcome.FAILED}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Kind.DISENTANGLER, Kind.ADAPTER, Kind.TASK, Kind.METRIC, Kind.GEOMETRY])
def test_everything_built_in_keeps_the_promises_of_its_kind(kind: Kind, plugin_host: PluginHost) -> None:
    offers = [offer for offer in plugin_host.offers(kind) if offer.plugin == "core"]
    assert offers
    for offer in offers:
        checks = run_checks(checks_for(offer.record), Subject.of_offer(offer))
        assert [check for check in checks if check.outcome is Outcome.FAILED] == []
        assert sum(check.outcome is Outcome.PASSED for check in checks) > len(checks) / 2


def test_the_digits_keep_the_promises_of_a_dataset(plugin_host: PluginHost) -> None:
    (offer,) = [offer for offer in plugin_host.offers(Kind.DATASET) if offer.record.name == "digits"]
    checks = run_checks(checks_of(Kind.DATASET), Subject.of_offer(offer))
    assert [check for check in checks if check.outcome is Outcome.FAILED] == []


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """A features file, and a tree of class folders."""
    from PIL import Image

    features = Key.of(0).generator().standard_normal((21, 4)).astype(np.float32)
    ids = np.array([f"id-{row}" for row in range(21)])
    np.savez(tmp_path / "stored.npz", features=features, ids=ids, labels=np.arange(21) % 3)
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "tree" / name).mkdir(parents=True)
        for row in range(11):
            colour = (10 * row, 200 * label, 50)
            Image.new("RGB", (9, 7), colour).save(tmp_path / "tree" / name / f"{row}.png")
    return {"features": tmp_path / "stored.npz", "folder": tmp_path / "tree"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Kind.ENCODER, "features"), (Kind.DATASET, "features"), (Kind.DATASET, "folder")],
)
def test_what_takes_a_path_is_checked_on_that_path(
    kind: Kind, name: str, places: dict[str, Path], plugin_host: PluginHost
) -> None:
    found = plugin_host.find(kind, f"{name}:{places[name]}")
    checks = run_checks(checks_of(kind), Subject.of_offer(found.offer, found.argument))
    assert [check for check in checks if check.outcome is Outcome.FAILED] == []
    passed = {check.name for check in checks if check.outcome is Outcome.PASSED}
    assert {"record_tells_the_truth", "digest_is_stable", "opens_no_connection"} <= passed
