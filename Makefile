# Everything a newcomer needs: `make demo` and `make test`. Both set up what they use.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin

WHEELHOUSE_PYTHON ?= 3.11
WHEELHOUSE_ARCH   ?= x86_64

.PHONY: bench bench-long demo test lint types slow browser-tools wheel wheelhouse clean help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

demo: $(VENV)/.installed  ## three nodes on this machine, with sample jobs; Ctrl-C ends it
	$(BIN)/croncord demo

test: $(VENV)/.tested browser-tools  ## style, types, and all tests but the slow ones
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -m 'simulation and not slow'
	$(BIN)/python -m pytest -m 'cluster and not slow'
	$(BIN)/python -m pytest -m guard
	$(BIN)/python -m pytest -m hostile
	CRONCORD_REQUIRE_BROWSER=1 $(BIN)/python -m pytest -m 'browser and not slow'

slow: $(VENV)/.tested  ## the long suites: thousands of simulated faults
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.measured  ## every figure in its short form, in less than 20 minutes
	$(BIN)/python benchmarks/all.py

bench-long: $(VENV)/.measured  ## the figures of docs/performance.md: an hour and a half
	$(BIN)/python benchmarks/all.py --long

lint: $(VENV)/.tested  ## style only
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.tested  ## types only
	$(BIN)/mypy

browser-tools:  # the pages are tested in a real browser
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q chromium fonts-dejavu-core; \
	  else echo "The page tests need Chromium: sudo apt-get install chromium fonts-dejavu-core" >&2; exit 1; fi; }

wheel: $(VENV)/.tested  ## build the wheel into dist/
	rm -rf build/lib
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

# pysyncobj is published as source only, so its wheel is built here.
wheelhouse: wheel  ## wheels for hosts without internet, into wheelhouse/
	rm -rf wheelhouse && mkdir wheelhouse
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir wheelhouse \
	  "$$(sed -n 's/.*"\(pysyncobj==[^"]*\)".*/\1/p' pyproject.toml)"
	$(BIN)/pip download --quiet --dest wheelhouse --find-links wheelhouse --only-binary=:all: \
	  --python-version $(WHEELHOUSE_PYTHON) --platform manylinux_2_28_$(WHEELHOUSE_ARCH) \
	  --platform manylinux2014_$(WHEELHOUSE_ARCH) "$$(ls -t dist/croncord-*.whl | head -1)"

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV) || { \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q python3-venv && $(PYTHON) -m venv $(VENV); \
	  else echo "Needs the venv module: sudo apt-get install python3-venv" >&2; exit 1; fi; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.tested: $(VENV)/.installed pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,browser,hostile]'
	@touch $@

$(VENV)/.measured: $(VENV)/.installed pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

clean:  ## remove what was set up and built
	rm -rf $(VENV) build dist wheelhouse *.egg-info
