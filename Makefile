# Python 3.11 or 3.12, pip and make are all that is needed beforehand. PYTHON names the interpreter.
PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --no-deps --progress-bar off
# Where pip would find only a CUDA build of torch, name an index that has the CPU build.
TORCH_INDEX ?=

.PHONY: help install demo test soak check clean

help:
	@echo "make demo    the shipped model watches toy videos -> runs/demo/report.html (2 minutes)"
	@echo "make test    the tests (at most 8 minutes on 2 cores)"
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

demo test soak: export HF_HUB_OFFLINE = 1

demo: .venv/.installed
	$(BIN)/prospect run --config presets/demo.yaml

test: .venv/.installed
	$(BIN)/pytest -m "not soak"

soak: .venv/.installed
	PROSPECT_SOAK=1 $(BIN)/pytest -m "soak or fuzz"

check: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find prospect tests scripts -name __pycache__ -prune -exec rm -rf {} +
