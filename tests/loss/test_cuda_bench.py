"""`make gpu` as far as it goes without a GPU: its arguments, its sentences and its tables."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # gpu.py imports gpu_table; dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tables():
    return load("gpu_table")


@pytest.fixture(scope="module")
def gpu(tables):
    before = list(sys.path)
    yield load("gpu")
    sys.path[:] = before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_device_it_says_so_and_ends(gpu, capsys):
    for argv in (["--check"], ["--small"], []):
        assert gpu.main(argv) == gpu.NO_DEVICE
        assert capsys.readouterr().out.startswith("no CUDA device: ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_make_gpu_skips_without_a_device():
    done = subprocess.run(
        ["make", "gpu", f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "no CUDA device" in done.stdout
    assert "pytest" not in done.stdout


@pytest.mark.parametrize("argv", [["--seconds", "0"], ["--budget", "-1"], ["--fast"], ["--seconds", "soon"]])
def test_wrong_arguments_are_refused(gpu, argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        gpu.arguments(argv)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_rates_count_eight_operations(tables):
    m = tables.Measurement("lpcm bf16", 65536, 512, 22e-3)
    assert m.tflops == pytest.approx(8 * 65536**2 * 512 / 22e-3 / 1e12)
    assert tables.Measurement("x", 1, 1, None).tflops is None


def test_the_table_has_a_row_a_measurement(tables):
    rows = [
        tables.Measurement("lpcm bf16", 65536, 512, 30e-3, 900 * tables.MIB, "median of 8"),
        tables.Measurement("eager bf16", 262144, 512, None, note="its matrices do not fit"),
    ]
    head, first, second = tables.table(rows, 800.0).splitlines()
    assert head.split() == ["n", "d", "contender", "ms", "peak", "MiB", "TFLOP/s", "of", "GEMM"]
    assert re.fullmatch(r" *65536  512  lpcm bf16 +30\.000 +900 +586\.4 +73\.3%  median of 8", first)
    assert re.fullmatch(r"262144  512  eager bf16 +- +- +- +-  its matrices do not fit", second)


def test_targets_are_met_or_missed_and_say_what_was_not_measured(tables):
    measured = [
        tables.Measurement("lpcm bf16", 4096, 512, 0.3e-3),
        tables.Measurement("lpcm bf16", 65536, 512, 50e-3),
        tables.Measurement("lpcm bf16, 8 GiB", 65536, 512, 45e-3),
        tables.Measurement("lpcm fp32", 32768, 512, 30e-3),
        tables.Measurement("memeff", 65536, 512, 80e-3),
        tables.Measurement("lpcm bf16", 1 << 20, 512, 8.0, 7 << 30),
    ]
    lines = [" ".join(line.split()) for line in tables.targets_table(measured).splitlines()]
    assert "lpcm bf16 4096 512 0.300 0.400 PASS 0.120 MISS" in lines
    assert "lpcm bf16 65536 512 50.000 45.000 MISS 26.000 MISS" in lines
    assert "lpcm bf16, 8 GiB 65536 512 45.000 50.000 PASS 21.000 MISS" in lines
    assert "lpcm bf16 65536 768 - 60.000 - 39.000 -" in lines
    assert "lpcm fp32 32768 512 30.000 not measured - 20.000 MISS" in lines
    assert "lpcm bf16 1048576 512 8000.000 runs PASS 7000.000 MISS" in lines
    assert "lpcm bf16 65536 512 50.000 53.333 PASS 26.667 MISS" in lines  # 1.5 and 3 times memeff
    assert lines[-1].endswith("7168 MiB, must be under 8192 MiB: PASS")


def test_every_size_that_was_asked_for_is_in_the_plan(gpu):
    planned = {*gpu.FIRST, gpu.LARGEST, *gpu.SIZES}
    assert planned >= {(n, d) for n in (4096, 65536, 262144) for d in (128, 512, 768, 1024)}
    assert planned >= {(t.n, t.d) for t in load("gpu_table").TARGETS}


def test_contenders_that_are_missing_are_named(gpu):
    found, notes = gpu.contenders()
    names = [c.name for c in found]
    assert {"lpcm bf16", "lpcm bf16, 8 GiB", "lpcm fp32", "plain bf16", "eager fp32"} <= set(names)
    for module, label, _ in gpu.PEERS:
        there = importlib.util.find_spec(module) is not None
        assert (label in names) or any(label in note for note in notes), there


def test_a_setting_around_the_loss_holds_for_its_gradient(gpu):
    """The workspace is set around forward and backward together, as a user would."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    value = gpu.step_class().apply(lambda t: t.square().sum(), x)
    (2 * value).backward()
    assert torch.equal(x.grad, torch.tensor([4.0, 8.0]))
