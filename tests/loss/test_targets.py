"""`lpcm-bench --report`: its verdicts, its rows at small sizes, and what it refuses."""

import json
import math
import os

import pytest

from lpcm import _core
from lpcm.cli import bench
from lpcm.loss import targets
from lpcm.loss.targets import Sense, Target, Verdict

LEVELS = _core.cpu()["available"]


def target(sense=Sense.AT_LEAST, must=2.0, goal=3.0, level=None, once=False, measure=lambda n: float(n)):
    return Target("row", "a claim", 640, sense, must, goal, "x", measure, level, once)


@pytest.mark.parametrize(
    ("sense", "must", "goal", "values", "expected"),
    [
        (Sense.AT_LEAST, 2.0, 3.0, (3.0, 9.0), Verdict.GOAL),
        (Sense.AT_LEAST, 2.0, 3.0, (2.9, 9.0), Verdict.PASS),
        (Sense.AT_LEAST, 2.0, 3.0, (1.9, 9.0), Verdict.MISS),
        (Sense.AT_MOST, 3.0, 2.0, (2.0, 0.0), Verdict.GOAL),
        (Sense.AT_MOST, 3.0, None, (3.0, 0.0), Verdict.PASS),
        (Sense.AT_MOST, 3.0, 2.0, (3.1, 0.0), Verdict.MISS),
        (
            Sense.AT_MOST,
            3.0,
            2.0,
            (math.nan,),
            Verdict.MISS,
        ),  # where the system cannot tell, nothing is claimed
    ],
)
def test_one_bad_turn_decides(sense, must, goal, values, expected):
    assert targets.verdict(target(sense, must, goal), values) is expected


def test_turns_sizes_and_the_worst():
    seen = []

    def measure(n):
        seen.append(n)
        return 10.0 - len(seen)

    outcome = targets.run(target(measure=measure), turns=3, shrink=5)
    assert seen == [128] * 3
    assert outcome.values == (9.0, 8.0, 7.0)
    assert outcome.worst == 7.0
    assert len(targets.run(target(once=True), turns=3).values) == 1


def test_a_row_for_another_processor_is_skipped(monkeypatch):
    monkeypatch.setattr(targets._core, "cpu", lambda: {"available": ["generic"]})
    outcome = targets.run(target(level="amx", measure=lambda n: pytest.fail("measured")))
    assert outcome.verdict is Verdict.SKIP
    assert "needs level amx; this processor has generic" in targets.table([outcome])


@pytest.mark.parametrize("before", [None, LEVELS[-1]])
def test_a_row_runs_at_its_level_and_leaves_no_trace(before, monkeypatch):
    monkeypatch.delenv("LPCM_CPU_LEVEL", raising=False)
    if before is not None:
        monkeypatch.setenv("LPCM_CPU_LEVEL", before)
    seen = []
    targets.run(
        target(level="generic", measure=lambda n: seen.append(_core.active_cpu_level()) or 1.0), turns=1
    )
    assert seen == ["generic"]
    assert os.environ.get("LPCM_CPU_LEVEL") == before


def test_every_row_of_the_table_runs_small(capsys):
    code = bench.run(["--report", "--shrink", "512", "--repeats", "1", "--json", "--threads", "1"])
    rows = {row["row"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == [t.name for t in targets.targets()]
    for t in targets.targets():
        row = rows[t.name]
        if t.level is not None and t.level not in LEVELS:
            assert row["verdict"] == "SKIP"
        else:
            assert all(value > 0 for value in row["values"]), t.name
    assert rows["fp32-error"]["verdict"] == "PASS"  # the one that does not depend on size or load
    assert code == int(any(row["verdict"] == "MISS" for row in rows.values()))


def test_report_is_a_table_that_says_when_it_is_a_trial(capsys):
    bench.run(["--report", "--rows", "fp32-error", "--shrink", "256", "--repeats", "1"])
    out = capsys.readouterr().out
    assert "A trial at n / 256: the verdicts mean nothing." in out
    assert "| fp32: relative error of dX against float64 | 64 | <= 2e-05 | - |" in out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--report", "--rows", "fp33"], "'fp33' is no row: expected some of avx512,"),
        (["--rows", "fp32"], "--rows and --shrink belong to --report"),
        (
            ["--losses", "lpcm fp64", "--no-compile"],
            "'lpcm fp64' is no loss here: expected some of 'lpcm fp32',",
        ),
    ],
)
def test_wrong_flags_say_what_there_is(line, said, capsys):
    with pytest.raises(SystemExit):
        bench.run(line)
    assert said in capsys.readouterr().err
