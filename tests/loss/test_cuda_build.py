"""What the CUDA compiler makes of the kernels, where there is one: both architectures, and no spilled registers."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "csrc"
NVCC = shutil.which("nvcc")
ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)' for '(?P<target>\w+)'.*?"
    r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers",
    re.DOTALL,
)
UNITS = ("bf16", "bf16_wgmma", "fp16", "fp16_wgmma", "fp32")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The compiler's report on every kernel of the passes over tiles: [(unit, fields)]."""
    if NVCC is None:
        pytest.skip("no nvcc on PATH")
    folder = tmp_path_factory.mktemp("cuda")

    def compiled(unit):
        command = [
            NVCC, "-std=c++17", "-O3", "-Xptxas", "-v", "-gencode", "arch=compute_80,code=sm_80",
            "-gencode", "arch=compute_90a,code=sm_90a", "-I", str(SOURCES / "include"),
            "-c", str(SOURCES / "cuda" / "loss" / f"tensor_{unit}.cu"), "-o", str(folder / f"{unit}.o"),
        ]  # fmt: skip
        done = subprocess.run(["nice", "-n", "10", *command], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        # the compiler would say so when it must carry out wgmma one at a time
        assert "serializ" not in done.stderr, done.stderr
        return [(unit, match.groupdict()) for match in ENTRY.finditer(done.stderr)]

    with ThreadPoolExecutor(2) as pool:  # the machine's two cores
        return [entry for entries in pool.map(compiled, UNITS) for entry in entries]


@pytest.mark.slow
def test_every_pass_is_compiled_for_both_architectures(report):
    kernels = {
        (unit, kind) for unit in UNITS for kind in ("hot_sums", "cold_sums", "weigh")
        if not (kind == "cold_sums" and unit.endswith("wgmma"))  # the rarer sums take the common instruction
    }  # fmt: skip
    for target in ("sm_80", "sm_90a"):
        found = {(unit, kind) for unit, e in report for kind in ("hot_sums", "cold_sums", "weigh")
                 if kind in e["name"] and e["target"] == target}  # fmt: skip
        assert found == kernels


@pytest.mark.slow
def test_no_hot_kernel_spills_a_register(report):
    """A value in local memory would be stored and loaded for every tile; the rarer sums may keep a few."""
    for unit, e in report:
        most = 32 if "cold_sums" in e["name"] else 0
        assert int(e["stores"]) <= most, (unit, e["name"], e["target"])
        assert int(e["loads"]) <= most, (unit, e["name"], e["target"])


@pytest.mark.slow
def test_two_blocks_fit_on_a_multiprocessor(report):
    """One multiplies while the other takes exponentials: 65,536 registers, 128 threads a block."""
    for unit, e in report:
        assert 2 * 128 * int(e["registers"]) <= 65536, (unit, e["name"], e["target"])
