# Needs Python 3.10 to 3.13 and make, nothing else. Another Python: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The lock of this platform and Python line, such as requirements/linux-py311.txt.
TAG := $(shell $(PYTHON) -c 'import sys; print(f"{sys.platform}-py{sys.version_info[0]}{sys.version_info[1]}")')
LOCK := requirements/$(TAG).txt
CREATED := $(VENV)/created-$(TAG)
READY := $(VENV)/ready-$(TAG)
CLASSIC := $(VENV)/classic
CLASSIC_READY := $(CLASSIC)/ready-$(TAG)
SITE := $(VENV)/site
SITE_READY := $(SITE)/ready-$(TAG)
AUDIT := $(VENV)/audit
AUDIT_READY := $(AUDIT)/ready-$(TAG)
MUTANTS := $(VENV)/mutants
MUTANTS_READY := $(MUTANTS)/ready-$(TAG)
BENCH := $(VENV)/bench
BENCH_LOCK := requirements/bench-$(TAG).txt
BENCH_READY := $(BENCH)/ready-$(TAG)

# Only what the locks have hashes of, and nothing that would have to be built, with other packages than theirs.
SYNC = $(BIN)/uv pip sync --quiet --require-hashes --no-build

# Environments that are not ours, listed in tests/environments. uv finds their Python, or fetches it; or name one:
# make test-colab COLAB_PYTHON=/usr/bin/python3.13
COLAB_PYTHON ?= 3.13
ORIGINAL_PYTHON ?= 3.10
MACOS_PYTHON ?= 3.12
COLAB := $(VENV)/colab
COLAB_COURSE := $(COLAB)-course
COLAB_CLASSIC := $(COLAB)-classic
ORIGINAL := $(VENV)/original
MACOS := $(VENV)/macos-pins

# Processes that the tests are dealt out to, file by file; each may take 3 GB.
WORKERS ?= 2
SIDE_BY_SIDE = --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder
# One thread in each, for together they have the cores busy already: 7 % less work. test_determinism has more.
ONE_THREAD = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
ifdef RECSYS_TEACH_DATA
export RECSYS_TEACH_DATA := $(shell $(PYTHON) -c 'import os; print(os.path.abspath(os.environ["RECSYS_TEACH_DATA"]))')
endif
export RECSYS_TEACH_SITE := $(abspath $(SITE))
unexport VIRTUAL_ENV CONDA_PREFIX

.PHONY: help setup classic bench run site site-env audit check test coverage mutants test-colab test-original test-macos-pins lint lab app lock links handout solved notebooks clean-notebooks clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv from the lock

classic: $(CLASSIC_READY) ## Create .venv/classic: the notebook and widgets of Google Colab, for the tests

bench: $(BENCH_READY) ## Run the benchmarks, write benchmarks/results.md
	TQDM_DISABLE=1 $(BENCH)/bin/python benchmarks/run_all.py

run: $(READY) ## Execute the notebooks, print the final scoreboard, write build/*.html
	$(ONE_THREAD) $(BIN)/python tools/notebook_tool.py run

site: site-env ## Build the course as a static site: build/site/html/index.html
	$(SITE)/bin/python tools/site_tool.py

site-env: $(SITE_READY) ## Create .venv/site: Sphinx and its theme, for the site

check: lint ## Check style, types and the core: for the time while you work
	$(ONE_THREAD) TQDM_DISABLE=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'not slow' tests/core recsys_teach

test: lint classic site-env ## Check everything: style, types, unit tests, notebooks
	$(ONE_THREAD) TQDM_DISABLE=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(COVERAGE)

coverage: $(READY) ## Run the unit tests, and tell which lines and branches of the package they don't reach
	$(ONE_THREAD) TQDM_DISABLE=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) tests recsys_teach -m 'not browser' --cov

mutants: $(MUTANTS_READY) ## Put faults into the core (hours): which does no test notice? Or: make mutants ONLY='recsys_teach.metrics.*'
	$(ONE_THREAD) TQDM_DISABLE=1 $(MUTANTS)/bin/python tools/mutants.py run --max-children $(WORKERS) $(if $(ONLY),'$(ONLY)') > build/mutants.log
	$(MUTANTS)/bin/python tools/mutants.py results | grep -v 'not checked'

test-colab: $(COLAB_COURSE)/ready $(COLAB_CLASSIC)/ready handout ## Run notebooks and hand-outs with what Google Colab has
	TQDM_DISABLE=1 $(BIN)/python -m pytest tests/environments/check_colab.py
	TQDM_DISABLE=1 $(COLAB_COURSE)/bin/python -m pytest notebooks tests/core/test_determinism.py
	RECSYS_TEACH_CLASSIC=$(abspath $(COLAB_CLASSIC)) TQDM_DISABLE=1 $(BIN)/python -m pytest tests -k classic

test-original: $(ORIGINAL)/ready ## Run the notebooks with TensorFlow 2.15 and TFRS 0.7.3
	TQDM_DISABLE=1 $(ORIGINAL)/bin/python -m pytest notebooks tests/core/test_determinism.py

test-macos-pins: $(MACOS)/ready ## Run the notebooks with the versions that a Mac gets
	TQDM_DISABLE=1 $(MACOS)/bin/python -m pytest notebooks tests/core/test_determinism.py

audit: $(AUDIT_READY) ## Ask whether anything in the locks is known to be vulnerable (needs the network)
	status=0; for lock in $(filter-out requirements/classic.txt,$(wildcard requirements/*.txt)); do \
	  $(AUDIT)/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r $$lock || status=1; \
	done; exit $$status

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

lab: $(READY) ## Open JupyterLab on the first notebook
	$(BIN)/jupyter lab notebooks/01_data.ipynb --notebook-dir=.

app: $(READY) ## Open the weight lab as a page without code
	$(BIN)/voila notebooks/app/weight_lab.ipynb --theme=light

handout: $(READY) ## Write build/handout: the notebooks without any output, to be filled in
	$(BIN)/python tools/handout_tool.py handout

solved: $(READY) ## Write build/solved: the notebooks with all solutions, executed; each must be right
	$(ONE_THREAD) $(BIN)/python tools/handout_tool.py solved

notebooks: $(READY) ## Execute the notebooks and store them with their outputs
	$(ONE_THREAD) $(BIN)/python tools/notebook_tool.py store

clean-notebooks: $(READY) ## Take stderr, widget state and machine's traces out of the stored notebooks
	$(BIN)/python tools/notebook_tool.py clean

links: $(READY) ## Write where the course is published into the notebooks: make links REPO=owner/name
	$(BIN)/python tools/links_tool.py $(REPO)

lock: $(READY) ## Renew the locks in requirements/
	$(BIN)/python tools/lock.py

clean: ## Remove what was built; the notebooks and the locks stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

$(CREATED):
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 13) or sys.exit( \
	  f"found Python {v[0]}.{v[1]}, but TensorFlow Recommenders runs on 3.10 to 3.13: name one, such as make $(MAKECMDGOALS) PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module: install it (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys, platform as p; (p.system(), p.machine()) != ("Darwin", "x86_64") or sys.exit( \
	  "found a Mac with an Intel processor, for which there is no TensorFlow that TensorFlow Recommenders works with")'
	@test -f $(LOCK) || { echo "there is no lock $(LOCK) for this machine: see CONTRIBUTING.md, 'Without a lock'" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@awk '/^uv==/, !/\\$$/' $(LOCK) > $(VENV)/uv.txt && test -s $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --only-binary :all: --requirement $(VENV)/uv.txt
	@touch $@

$(READY): $(CREATED) $(LOCK) pyproject.toml
	$(SYNC) --compile-bytecode $(LOCK)  # or every kernel would: 5 s
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# A second environment beside another: its own packages come first, then those of the other.
define beside
$(3)/bin/python -m venv --clear --without-pip $(1)
@$(3)/bin/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
  > "$$($(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth"
$(if $(2),$(SYNC) --python $(1)/bin/python $(2))
endef

$(CLASSIC_READY): $(READY) requirements/classic.txt
	$(call beside,$(CLASSIC),requirements/classic.txt,$(VENV))
	@touch $@

$(SITE_READY): $(READY) requirements/site.txt
	$(call beside,$(SITE),requirements/site.txt,$(VENV))
	@touch $@

$(MUTANTS_READY): $(READY) requirements/mutants.txt
	$(call beside,$(MUTANTS),requirements/mutants.txt,$(VENV))
	@mkdir -p build && touch $@

$(BENCH_READY): $(READY) $(BENCH_LOCK)
	$(call beside,$(BENCH),--build $(BENCH_LOCK),$(VENV))  # some have no wheels
	@touch $@

# It needs neither TensorFlow nor the course: to be asked, a lock isn't installed.
$(AUDIT_READY): $(CREATED) requirements/audit.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(AUDIT)
	$(SYNC) --python $(AUDIT)/bin/python requirements/audit.txt
	@touch $@

# Only reached where there is none, for make asks for it by name.
requirements/bench-%.txt:
	@echo "there is no lock $@ for this machine: the benchmarks run on Linux" >&2; exit 1

# An environment that holds what its list says and nothing else.
define exactly
$(BIN)/uv venv --quiet --clear --python $(2) $(1)
$(SYNC) --compile-bytecode --python $(1)/bin/python tests/environments/$(notdir $(1)).txt
@touch $@
endef

$(COLAB)/ready: $(READY) tests/environments/colab.txt
	$(call exactly,$(COLAB),$(COLAB_PYTHON))

# Colab with the course installed in it, and with the notebook server that the tests open.
$(COLAB_COURSE)/ready: $(COLAB)/ready $(wildcard recsys_teach/*.py recsys_teach/*/*.py) pyproject.toml
	$(call beside,$(COLAB_COURSE),,$(COLAB))
	$(BIN)/python -m flit_core.wheel --outdir $(COLAB_COURSE)
	$(COLAB_COURSE)/bin/python -m pip install --quiet $(COLAB_COURSE)/*.whl
	@touch $@

$(COLAB_CLASSIC)/ready: $(COLAB_COURSE)/ready requirements/classic.txt
	$(call beside,$(COLAB_CLASSIC),requirements/classic.txt,$(COLAB_COURSE))
	@touch $@

$(ORIGINAL)/ready: $(READY) tests/environments/original.txt
	$(call exactly,$(ORIGINAL),$(ORIGINAL_PYTHON))

$(MACOS)/ready: $(READY) tests/environments/macos-pins.txt
	$(call exactly,$(MACOS),$(MACOS_PYTHON))
