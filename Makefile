# Each target sets up all that it needs: a virtual environment of its own in .venv, from PyPI alone.
#   make demo    the main job, offline, on the embedded encoder; prints where its results are
#   make test    the whole suite: lint, types, C++ tests, Python tests
#   make bench   timings, against baselines in the same process
#   make gpu     on a machine with a GPU and torch, without network: build, tests of the GPU, sanitizer, timings
#   make amx-report      what is asked of the loss on a CPU, measured five times: a table for the ledger (an hour, quiet)
#   make loss-cases      100,000 random problems (CASES, SEED) in place of the 2,000 of make test
#   make loss-valgrind   the core's tests of small problems under valgrind
#   make dev     an editable install, for working on lpcm itself
#   make clean   removes .venv and build
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find lpcm csrc plugins -type f -not -path '*/__pycache__/*' -not -path '*/build/*' -not -name '*.pyc')

# The package is tested as it was installed: without this, Python would import the sources beside it, which have no
# compiled core.
export PYTHONSAFEPATH := 1

.PHONY: demo test lint core-test bench amx-report loss-cases loss-valgrind gpu gpu-run dev clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/lpcm-eval --encoder lite0 --task fewshot --dataset emoji

test: $(VENV)/.installed lint core-test
	$(BIN)/pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy lpcm

# The tests of the core in C++, under the address and undefined-behaviour sanitizers.
core-test: $(VENV)/.tools
	$(BIN)/cmake -S csrc/tests -B build/core-test -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja
	$(BIN)/cmake --build build/core-test
	$(BIN)/ctest --test-dir build/core-test --output-on-failure

bench: $(VENV)/.installed
	$(BIN)/pytest benchmarks -s

# Rows that need AMX say so elsewhere. ROWS="fp32 memory" picks some; ROWS=resident is the run of n = 262144.
amx-report: $(VENV)/.installed
	$(BIN)/lpcm-bench --report $(if $(ROWS),--rows $(ROWS))

CASES ?= 100000
SEED ?= 1
loss-cases: $(VENV)/.installed
	LPCM_TEST_CASES=$(CASES) $(BIN)/pytest tests/loss/test_random_problems.py --hypothesis-seed=$(SEED)

# Without sanitizers, which valgrind replaces; it knows no AVX-512, and so shows the core a processor without.
ROWS_UNDER_VALGRIND ?= 40
loss-valgrind: $(VENV)/.tools
	$(BIN)/cmake -S csrc/tests -B build/core-valgrind -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DLPCM_SANITIZE=OFF
	$(BIN)/cmake --build build/core-valgrind --target test_features test_loss
	valgrind --error-exitcode=9 build/core-valgrind/test_features
	valgrind --error-exitcode=9 build/core-valgrind/test_loss $(ROWS_UNDER_VALGRIND)

# With the torch, CMake, ninja, pybind11 and scikit-build-core of $(PYTHON), and no virtual environment: what is installed
# there is what the loss is used with. Nothing is fetched.
GPU := build/gpu
gpu:
	@if $(PYTHON) benchmarks/gpu.py --check; then $(MAKE) --no-print-directory gpu-run; else echo "make gpu: skipped"; fi

gpu-run: export PYTHONPATH := $(abspath $(GPU)/site)
gpu-run:
	LPCM_CUDA=on $(PYTHON) -m pip install --quiet --no-build-isolation --no-deps --no-index --upgrade --target $(GPU)/site .
	$(PYTHON) -m pytest -m cuda $(shell grep -l "mark.cuda" -r tests --include='test_*.py')
	@if command -v compute-sanitizer >/dev/null; then \
	  set -e; for tool in memcheck racecheck; do \
	    echo "compute-sanitizer $$tool"; compute-sanitizer --tool $$tool --error-exitcode 9 $(PYTHON) benchmarks/gpu.py --small; \
	  done; \
	else echo "compute-sanitizer is not on PATH: left out"; fi
	$(PYTHON) benchmarks/gpu.py --json $(GPU)/table.json

dev: $(VENV)/.tools
	$(BIN)/pip install --quiet "hatchling>=1.26" "scikit-build-core>=0.11" "pybind11>=2.13"
	$(BIN)/pip install --quiet --no-build-isolation -e ".[test]" -e plugins/lpcm-lite -e plugins/lpcm-torus

clean:
	rm -rf $(VENV) build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.tools: $(VENV)/bin/python
	$(BIN)/pip install --quiet cmake ninja
	@touch $@

# Not editable: what is tested is what a user installs.
$(VENV)/.installed: $(VENV)/bin/python pyproject.toml CMakeLists.txt $(SOURCES)
	@echo "installing lpcm and its plugins into $(VENV); the first time this fetches torch and takes minutes"
	$(BIN)/pip install --quiet ".[test]" ./plugins/lpcm-lite ./plugins/lpcm-torus
	@touch $@
