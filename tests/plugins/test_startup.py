"""Help, lists and states are instant: they import neither torch nor scikit-learn, nor anything else that is heavy."""

from __future__ import annotations

import json
import statistics
import sys
import time

import pytest

from .installing import lpcm_eval, run

QUICK = [
    ["--help"],
    ["ls", "encoders"],
    ["ls", "encoders", "--json"],
    ["plugins", "list"],
    ["plugins", "list", "--json"],
]
HEAVY = ["torch", "sklearn", "scipy", "numpy", "PIL", "open_clip", "timm", "rich", "pandas"]

# 0.4 s is what a quiet machine must keep; a shared one may be this many times slower at the worst moment.
SECONDS, SHARED = 0.4, 5


@pytest.mark.parametrize("command", QUICK, ids=" ".join)
def test_a_quick_command_imports_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys\n"
        "from lpcm.cli.main import main\n"
        f"code = main({command!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = run([sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [["--help"], ["ls", "encoders"], ["plugins", "list"]], ids=" ".join)
def test_a_quick_command_answers_at_once(command: list[str]) -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        assert lpcm_eval(*command).returncode == 0
        seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) < SECONDS * SHARED


def test_the_pytest_plugin_costs_nothing_where_it_is_not_used() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import lpcm.testing.pytest_plugin; import json; "
        + ("print(json.dumps(sorted(set(sys.modules) - before)))")
    )
    loaded = json.loads(run([sys.executable, "-c", code]).stdout)
    assert not [name for name in loaded if name.partition(".")[0] in (*HEAVY, "pluggy")]
    assert len([name for name in loaded if name.startswith("lpcm")]) <= 4
