# Everything a developer or CI runs. `make` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
PLAN ?= results_cpu
SOAK ?= 30
DATA ?= ../shared/data
MODEL ?= models/tiny.onnx

PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
PACKAGING := setup.py setup.cfg pyproject.toml constraints.txt package.xml
# An installation is repeated only when what it depends on has changed.
DEMO_STAMP := $(VENV)/.installed-demo
TEST_STAMP := $(VENV)/.installed-test

# The virtual environment brings its own ROS 2; a sourced distribution's libraries would mix with it.
ifdef ROS_DISTRO
unexport AMENT_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH RMW_IMPLEMENTATION ROS_DISTRO
endif

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help venv demo test lint bench real faults train results sample clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "%-16s %s\n", $$1, $$2 }'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "error: msdepth_ros needs Python 3.10 or newer, and PYTHON=$(PYTHON) is" \
			"$$($(PYTHON) --version 2>&1 || true); try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "error: no virtual environment; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }

$(DEMO_STAMP): $(PACKAGING) | $(BIN)/python
	$(PIP_INSTALL) --editable '.[ros,report]'
	@touch $@

$(TEST_STAMP): $(PACKAGING) training/pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable '.[fleet,ros,report,test]' --editable './training[backbones,curves,pretrained,test]'
	@touch $(DEMO_STAMP) $@

venv: $(DEMO_STAMP) ## make .venv with what the demo needs (no PyTorch)

demo: $(DEMO_STAMP) ## replay the sample drive through the real node; report in out/demo
	$(BIN)/msdepth demo --out $(OUT)/demo

test: $(TEST_STAMP) ## install what the tests need (PyTorch too) and run all tests
	$(BIN)/python -m pytest test training/test --timeout=300

lint: $(TEST_STAMP) ## check style and types
	$(BIN)/python -m pytest -q test/test_lint.py test/test_architecture.py

bench: $(TEST_STAMP) ## measure speed and accuracy; numbers in out/bench/bench.json
	$(BIN)/python -m msdepth_training.bench --out $(OUT)/bench

real: $(TEST_STAMP) ## score MODEL on the real frames below DATA; table, out/real/real.json and sheet.png
	@if [ -d '$(DATA)' ]; then \
		$(BIN)/msdepth-train real --data '$(DATA)' --model '$(MODEL)' --out $(OUT)/real; \
	else \
		echo 'skipped: $(DATA) is not here; try: make real DATA=<folder with real frames>'; \
	fi

faults: $(TEST_STAMP) ## make every camera fail in every way before the running node; out/faults/faults.json (45 minutes; SOAK=0: 15)
	PYTHONPATH=test/support $(BIN)/python -m fault_bench --out $(OUT)/faults --soak-minutes $(SOAK)

train: $(TEST_STAMP) ## train the shipped model again (goes on where it stopped), export it to out/models
	$(BIN)/msdepth-train align --config tiny
	$(BIN)/msdepth-train fuse --config tiny --from $(OUT)/runs/0/align_msdepth
	$(BIN)/msdepth-train export --models $(OUT)/models

results: $(TEST_STAMP) ## train both recipes (goes on where it stopped), write docs/results.*; PLAN=results for a GPU
	$(BIN)/msdepth-train plan --config $(PLAN) --runs $(OUT)/$(PLAN)
	$(BIN)/msdepth-train evaluate $(OUT)/$(PLAN) --out docs

sample: $(TEST_STAMP) ## write samples/city_drive again
	$(BIN)/python -m msdepth_training.sample_drive

clean: ## remove outputs and caches
	rm -rf $(OUT) build install log .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info training/*.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv, too
	rm -rf $(VENV)
