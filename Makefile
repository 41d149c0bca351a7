# Python 3.11 or 3.12, pip and make are all that is needed beforehand. PYTHON names the interpreter.
PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --no-deps --progress-bar off
# Where pip would find only a CUDA build of torch, name an index that has the CPU build.
TORCH_INDEX ?=

.PHONY: help install demo test extras soak check clean

help:
	@echo "make demo    the shipped model watches toy videos -> runs/demo/report.html (3 minutes)"
	@echo "make test    the tests (10 to 14 minutes on 2 cores)"
	@echo "make extras  the tests of 4-bit weights and of ZeRO, with what they need"
	@echo "make check   format, lint and types"
	@echo "make soak    the long tests"
	@echo "make clean   remove .venv and caches; runs/ stays"

install: .venv/.installed

.venv/.installed: requirements.lock requirements-offline.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	"Python 3.11 or newer is needed; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.lock
	$(PIP) -r requirements-offline.txt
	$(PIP) --no-build-isolation -e .
	touch $@

demo test extras soak: export HF_HUB_OFFLINE = 1

demo: .venv/.installed
	$(BIN)/prospect run --config presets/demo.yaml

test: .venv/.installed
	$(BIN)/pytest -m "not soak"

# apart, since peft imports bitsandbytes wherever it is installed: seconds more for every command
.venv/.extras: requirements-extras.txt .venv/.installed
	DS_BUILD_OPS=0 $(PIP) --no-build-isolation --upgrade --target .venv/extras -r $<
	touch $@

extras: .venv/.extras
	PYTHONPATH=.venv/extras $(BIN)/pytest -k "qlora or zero" tests/model/test_tuning.py \
		tests/train/test_zero.py tests/test_gpu_checks.py

soak: .venv/.installed
	PROSPECT_SOAK=1 $(BIN)/pytest -m "soak or fuzz"

check: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find prospect tests scripts -name __pycache__ -prune -exec rm -rf {} +
