"""Several processes: the same bytes as one, in the same order; a death costs a try; nobody is left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lpcm.environment import variables
from lpcm.errors import LpcmError
from lpcm.plugin.contracts import Cell, Precision
from lpcm.plugin.host import PluginHost
from lpcm.store.files import FileDigests
from lpcm.study import crew, worker
from lpcm.study.crew import Crew, Jobs, _Task, _Waiting
from lpcm.study.patient import PatientStore
from lpcm.study.plan import PlannedCell
from lpcm.study.progress import Reporter
from lpcm.study.rows import stable
from lpcm.study.runner import Runner
from lpcm.study.spec import Study
from lpcm.study.worker import Job, Order, Ready, Told, Warned

from .conftest import TOY

FILES = (TOY, Path(__file__).with_name("dying_plugin.py"))
ASKED = {"encoder": "toy", "task": "fewshot", "dataset": "toy", "disentangler": "none,whiten", "shots": "1"}


class Listening(Reporter):
    """Remembers what it is told."""

    def __init__(self):
        self.notes, self.cells, self.planned, self.images = [], 0, None, []

    def plan(self, cells, done):
        self.planned = (cells, done)

    def note(self, text):
        self.notes.append(text)

    def cell(self, row):
        self.cells += 1

    def extraction(self, what, done, total):
        self.images.append((what, done, total))


@pytest.fixture(scope="module")
def host():
    return PluginHost.discover(files=FILES)


@pytest.fixture
def run(host, tmp_path):
    """Run a study of toys: ``run(jobs=2, store="s", seeds="2", ...)``."""

    def carry_out(*, jobs, store="store", reporter=None, **fields):
        study = Study.parse({**ASKED, "seeds": "1", **fields}, "test")
        runner = Runner(host, tmp_path / store, reporter, Jobs(jobs, files=FILES))
        return runner.run(study, tmp_path / f"out-{store}")

    return carry_out


def outcomes(run):
    return {path.name: path.read_bytes() for path in (run.folder / "outcomes").iterdir()}


def test_two_processes_give_the_bytes_of_one_in_the_same_order(run, monkeypatch, tmp_path):
    log, told = tmp_path / "log", Listening()
    monkeypatch.setenv("TOY_LOG", str(log))
    fields = {"encoder": "counted", "seeds": "2", "shots": "1,2"}
    one = run(jobs=1, store="one", **fields)
    alone = sum(map(int, log.read_text().split()))
    log.unlink()
    two = run(jobs=2, store="two", reporter=told, **fields)
    assert [stable(row) for row in two.rows] == [stable(row) for row in one.rows]
    assert [stable(row) for row in two.summary] == [stable(row) for row in one.summary]
    assert outcomes(two) == outcomes(one)
    assert two.exit_code == 0
    assert told.planned == (9, 0)
    assert told.cells == 9
    assert ("counted on toy, test", 36, 36) in told.images
    # Blocks are encoded once for all processes; only the canary's five probes may be each process's own.
    assert sum(map(int, log.read_text().split())) - alone in (0, 5)

    again = Listening()
    monkeypatch.delenv("TOY_LOG")  # encoding would fail now
    assert run(jobs=2, store="two", reporter=again, **fields).rows == two.rows
    assert again.planned == (9, 9)


def test_a_death_costs_a_try_and_a_second_one_the_cell(run, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("TOY_MARK", str(tmp_path / "mark"))
    told = Listening()
    done = run(jobs=2, reporter=told, disentangler="none,dies,diesonce,explode")
    rows = {row["cell"]["disentangler"]: row for row in done.rows if row["cell"]["shots"]}
    statuses = {name: row["status"] for name, row in rows.items()}
    expected = {"none": "done", "dies": "failed", "diesonce": "done", "explode": "failed"}
    assert statuses == expected, [row.get("error") for row in rows.values()]
    error = rows["dies"]["error"]
    assert error["type"] == "WorkerDiedError"
    assert "disentangler dies" in error["message"]
    assert "killed by signal 9 (SIGKILL)" in error["message"]
    assert "--jobs" in error["hint"]
    assert rows["explode"]["error"]["message"] == "deliberate"  # no death, so no second try
    assert [note.count("it is tried again") for note in told.notes] == [1, 1]
    assert capfd.readouterr().err.count("UserWarning: told once by a worker") == 1
    assert done.exit_code == 1
    assert told.cells == len(done.rows) == 5


@pytest.fixture
def waiting(tmp_path):
    """A command whose two workers wait for ever, and the pipe that both hold open."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    asked = {**ASKED, "disentangler": "waits", "seeds": "2", "jobs": "2", "store": tmp_path / "store"}
    asked = [text for name, value in asked.items() for text in (f"--{name}", str(value))]
    asked += [text for file in FILES for text in ("--plugin", str(file))]
    process = subprocess.Popen(
        [sys.executable, "-m", "lpcm.cli", "run", "--quiet", "--out", str(tmp_path / "out"), *asked],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TOY_PIPE": str(pipe)},
        # As a terminal starts it: what starts the tests may ignore Ctrl-C, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with pipe.open() as lines:
        yield process, lines
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.timeout(120)
def test_ctrl_c_ends_every_process_and_keeps_what_is_done(waiting, tmp_path):
    process, lines = waiting
    workers = [int(lines.readline()) for _ in range(2)]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = process.communicate()
    assert process.returncode == 130
    assert "type the same command again to go on" in said
    assert "Traceback" not in said
    for one in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(one, 0)
    (kept,) = (tmp_path / "store" / "results").rglob("*.json")  # of the zero-shot reference
    assert json.loads(kept.read_text().splitlines()[0])["status"] == "done"


@pytest.mark.timeout(120)
def test_workers_do_not_outlive_a_parent_that_is_killed(waiting):
    process, lines = waiting
    assert all(int(lines.readline()) for _ in range(2))
    process.kill()
    assert lines.read() == ""  # at its end only once both are gone


def test_workers_that_cannot_have_the_plan_say_why(host, tmp_path):
    runner = Runner(host, tmp_path / "store", None, Jobs(2))  # they do not load the plugin of the toys
    with pytest.raises(LpcmError, match="toy"):
        runner.run(Study.parse({**ASKED, "seeds": "1"}, "test"), tmp_path / "out")


def test_workers_that_die_before_they_begin_end_the_run(host, tmp_path):
    exits = tmp_path / "exits_plugin.py"
    exits.write_text("import os\n\nos._exit(3)\n")
    runner = Runner(host, tmp_path / "store", None, Jobs(2, files=(*FILES, exits)))
    with pytest.raises(LpcmError, match="before it could begin: ended with status 3") as caught:
        runner.run(Study.parse({**ASKED, "seeds": "1"}, "test"), tmp_path / "out")
    assert "__main__" in caught.value.hint


class Wire:
    """A connection within one process: jobs in, answers out."""

    def __init__(self, *jobs):
        self.jobs, self.said = list(jobs), []

    def recv(self):
        if not self.jobs:
            raise EOFError
        return self.jobs.pop(0)

    def send(self, what):
        self.said.append(what)


def test_a_worker_refuses_a_cell_that_is_no_longer_what_was_meant(tmp_path):
    wire = Wire(Job(0, "another key"))
    order = Order(Study.parse({**ASKED, "seeds": "1"}, "test"), tmp_path / "store", (), FILES, 1)
    with pytest.raises(EOFError):
        worker._work(wire, order)
    ready, made = wire.said
    assert isinstance(ready, Ready)
    assert made.row["status"] == "failed"
    assert "changed while the study was running" in made.row["error"]["message"]


def test_what_every_worker_says_is_told_once(capsys):
    told = Listening()
    with Crew(Jobs(2), Study.parse(ASKED, "test"), Path("store"), told) as workers:
        for said in (Told("note", ("unreadable",)), Warned("careful\n")) * 2:
            assert workers._listen(SimpleNamespace(connection=Wire(said))) is None
    assert told.notes == ["unreadable"]
    assert capsys.readouterr().err == "careful\n"


def test_blocks_are_encoded_with_the_threads_of_one_process(host, tmp_path):
    from toy_plugin import ToyDataset, ToyEncoder  # the host has loaded it

    seen = []

    class Looking(ToyEncoder):
        def encode_images(self, images):
            seen.append(torch.get_num_threads())
            return super().encode_images(images)

    options = SimpleNamespace(argument="", precision=Precision.FP32)
    samples = ToyDataset(options).samples("val")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with FileDigests(None) as files:
            store = PatientStore(tmp_path, files, threads=3)
            first = store.images(Looking(options), samples)
            assert torch.get_num_threads() == 1
            again = store.images(Looking(options), samples)
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {3}
    assert len(seen) == 2  # the canary's probes and the images; what is kept is read
    assert (first.features == again.features).all()


def task(place, **axes):
    return _Task(place, PlannedCell(Cell(axes={"task": "t", "seed": place, **axes}), f"key{place}"))


def test_a_worker_stays_with_cells_that_share_a_disentangler_and_then_helps_the_longest():
    tasks = [
        task(place, encoder="e", dataset="d", disentangler=name) for place, name in enumerate("aabbbbcc")
    ]
    waiting = _Waiting(tasks)
    first = waiting.take([])
    second = waiting.take([first])
    assert (first.place, second.place) == (0, 2)
    assert waiting.take([second], first.like).place == 1  # its own kind
    third = waiting.take([second], first.like)
    assert third.place == 6  # nobody is at c
    assert waiting.take([second], third.like).place == 7
    assert waiting.take([second], third.like).place == 3  # helps with b
    assert [waiting.take([]).place for _ in range(2)] == [4, 5]
    assert waiting.take([]) is None


@pytest.mark.parametrize(
    ("asked", "given"), [("1", 1), ("10000", None), ("", None), ("0", None), ("many", None)]
)
def test_threads_are_those_that_were_asked_for_or_the_cores(monkeypatch, asked, given):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert crew.threads() == (given or len(os.sched_getaffinity(0)))


def test_variables_for_a_child_are_gone_afterwards(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with variables({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("1", "1")
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (3, "ended with status 3"),
        (-9, "was killed by signal 9 (SIGKILL)"),
        (-40, "was killed by signal 40 (no name)"),
    ],
)
def test_how_a_process_ended_is_said_in_words(code, said):
    assert crew._ended(code) == said
