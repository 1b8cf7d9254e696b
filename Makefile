VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -qq install

# Runs each candidate: a version manager may put commands on PATH that only print an error.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		2>/dev/null && echo $$python && break; done)

# An index with CPU wheels of PyTorch, for machines without a GPU.
TORCH_INDEX ?=

# What `make lock` may change: nothing that still fits, or everything with UPGRADE=--upgrade.
UPGRADE ?=

CONFIG ?= configs/sentiment.yaml

# Where the public data sets of the benchmarks are: sst2/train.csv, ag_news/train.csv and so on.
DATA ?= tests/benchmarks/data

.DEFAULT_GOAL := help
.PHONY: help run test check fix bench docs ui lock clean install install-dev install-energy \
	install-excel install-server browser postgres

help:
	@echo "make run     train, evaluate and register a model (CONFIG=$(CONFIG))"
	@echo "make ui      show runs and registered models in the browser"
	@echo "make test    run the tests"
	@echo "make check   run the linters, the type checker and the documentation's tests"
	@echo "make fix     repair what the linters can repair"
	@echo "make bench   run the benchmarks (DATA=$(DATA))"
	@echo "make docs    build the pages of docs/ into site/"
	@echo "make lock    compile the lock files (UPGRADE=--upgrade for newer versions)"
	@echo "make clean   remove the environment and the caches"
	@echo
	@echo "The first run creates $(VENV). On a machine without a GPU, TORCH_INDEX=url names an index"
	@echo "with CPU wheels of PyTorch."

run: install
	@$(VENV)/bin/onestep run $(CONFIG)

ui: install
	@$(VENV)/bin/onestep ui

test: install-dev browser postgres
	$(PY) -m pytest -n 3 --dist loadgroup

check: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest tests/docs

fix: install-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: install-dev
	$(PY) -m tests.benchmarks --data $(DATA)

# The warning is about a later mkdocs, which the lock file keeps out.
docs: install-dev
	$(PY) -m tests.docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "to read it: $(PY) -m http.server --bind 127.0.0.1 --directory site 8000"

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev
install-energy: $(VENV)/.installed-energy
install-excel: $(VENV)/.installed-excel
install-server: $(VENV)/.installed-server

$(VENV)/.installed: pyproject.toml requirements.lock requirements-torch-cpu.lock requirements-torch-cuda.lock
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
		python="$(PYTHON)"; \
		if [ -z "$$python" ]; then \
			echo "No usable Python 3.11, 3.12 or 3.13 with venv found. Install one, or name it: make PYTHON=/path/to/python" >&2; \
			exit 1; \
		fi; \
		echo "creating $(VENV) with $$($$python --version)"; \
		$$python -m venv --clear $(VENV); \
	fi
	@echo "installing locked dependencies (first time: a few minutes)"
	@$(PIP) --require-hashes --no-deps -r requirements.lock
	@$(install_torch)
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "installing locked development tools"
	@$(PIP) --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

$(VENV)/.installed-energy: $(VENV)/.installed requirements-energy.lock
	@echo "installing what estimates energy"
	@$(PIP) --require-hashes --no-deps -r requirements-energy.lock
	@touch $@

$(VENV)/.installed-excel: $(VENV)/.installed requirements-excel.lock
	@echo "installing what reads Excel workbooks"
	@$(PIP) --require-hashes --no-deps -r requirements-excel.lock
	@touch $@

$(VENV)/.installed-server: $(VENV)/.installed requirements-server.lock
	@echo "installing what servers need"
	@$(PIP) --require-hashes --no-deps -r requirements-server.lock
	@touch $@

define install_torch
set -e; \
log=$(VENV)/torch.log; \
cuda="$(PIP) --require-hashes --no-deps -r requirements-torch-cuda.lock"; \
cpu="$(PIP) --require-hashes --no-deps -r requirements-torch-cpu.lock"; \
if [ -n "$(TORCH_INDEX)" ]; then \
	echo "installing PyTorch from the index given"; \
	$$cpu --index-url "$(TORCH_INDEX)"; \
elif nvidia-smi >/dev/null 2>&1 || [ "$$(uname -sm)" != "Linux x86_64" ]; then \
	echo "installing PyTorch"; \
	$$cuda; \
elif echo "installing PyTorch for CPU"; ! $$cpu 2>$$log; then \
	if ! grep -q "No matching distribution" $$log; then cat $$log >&2; exit 1; fi; \
	echo "pip finds no CPU wheel of PyTorch here: installing the build with CUDA, several GB, which runs on CPUs too."; \
	echo "To avoid it, stop and run: make TORCH_INDEX=<an index with PyTorch's CPU wheels>"; \
	$$cuda; \
fi
endef

# Debian's package brings the libraries that a browser needs; Playwright's own download does not.
browser: $(VENV)/.installed-dev
	@for name in chromium chromium-browser google-chrome; do \
		if $$name --version >/dev/null 2>&1; then exit 0; fi; \
	done; \
	echo "installing a browser for the tests"; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get -qq update \
		&& DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
			chromium fonts-dejavu-core >/dev/null \
		&& chromium --version >/dev/null 2>&1; \
	then exit 0; fi; \
	$(VENV)/bin/playwright install chromium

# Debian puts the server beside the PATH. Without it, the tests that need it fail and say so.
postgres:
	@if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; then exit 0; fi; \
	echo "installing PostgreSQL for the tests"; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get -qq update \
		&& DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
			postgresql >/dev/null; \
	then exit 0; fi; \
	echo "PostgreSQL is missing: install the package of your system, on Debian as root: apt-get install postgresql" >&2

# What torch needs besides CUDA: it is locked in files of its own, and named here so that the other
# packages of its dependency tree are not.
TORCH_NEEDS := filelock fsspec jinja2 networkx setuptools sympy typing-extensions
COMPILE = .uv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)
locked = $$(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.lock)

lock:
	@test -x .uv/bin/uv || { $(PYTHON) -m venv --clear .uv && .uv/bin/python -m pip install -qq "uv>=0.9,<1"; }
	@printf 'torch ; python_version < "3"\n' > .uv/no-torch.txt
	@printf '%s\n' $(TORCH_NEEDS) | $(COMPILE) pyproject.toml - --extra starter \
		--override .uv/no-torch.txt -o requirements.lock >/dev/null
	@printf '%s\n' $(TORCH_NEEDS) | $(COMPILE) pyproject.toml - --extra starter --extra server \
		--override .uv/no-torch.txt -c requirements.lock $(locked) -o requirements-server.lock >/dev/null
	@printf '%s\n' $(TORCH_NEEDS) | $(COMPILE) pyproject.toml - --extra starter --extra energy \
		--override .uv/no-torch.txt -c requirements.lock -c requirements-server.lock $(locked) \
		-o requirements-energy.lock >/dev/null
	@printf '%s\n' $(TORCH_NEEDS) | $(COMPILE) pyproject.toml - --extra starter --extra excel \
		--override .uv/no-torch.txt -c requirements.lock $(locked) -o requirements-excel.lock >/dev/null
	@printf '%s\n' $(TORCH_NEEDS) | $(COMPILE) pyproject.toml - --extra starter --extra server \
		--extra energy --extra excel --extra dev --override .uv/no-torch.txt -c requirements.lock \
		-c requirements-server.lock -c requirements-energy.lock -c requirements-excel.lock $(locked) \
		-o requirements-dev.lock >/dev/null
	@sed -n 's/^torch==\([0-9.]*\).*/torch==\1/p' requirements-torch-cpu.lock \
		| $(COMPILE) - -c requirements.lock $(locked) -o requirements-torch-cuda.lock >/dev/null
	@if grep -hE '^(nvidia|cuda|triton|torch)' requirements.lock requirements-energy.lock \
		requirements-excel.lock requirements-dev.lock | grep -qv '^nvidia-ml-py=='; then \
		echo "CUDA packages reached a lock that must not have them" >&2; exit 1; fi

clean:
	rm -rf $(VENV) .uv build site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.import_linter_cache .coverage .coverage.* htmlcov
	find configs flows onestep tasks tests -name __pycache__ -type d -prune -exec rm -rf {} +
