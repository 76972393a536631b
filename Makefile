# `make demo` and `make test` are all that a fresh clone needs; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install demo test quick lint format docs notebooks wheel

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DEVELOPED := .venv/.installed-dev
PIP = test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# A folder with omniglot/ in it. Unset: the one beside this checkout, if there is one; else Omniglot is downloaded.
QUICKSTUDY_DATA ?= $(abspath $(wildcard ../shared/data))
ifneq ($(QUICKSTUDY_DATA),)
export QUICKSTUDY_DATA
endif

help:  ## list what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

install: $(DEVELOPED)  ## create .venv and install quickstudy with its development tools (only when they changed)

$(DEVELOPED): pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	touch $(INSTALLED) $@

$(INSTALLED): pyproject.toml constraints.txt
	$(PIP) -e .
	touch $@

demo: $(INSTALLED)  ## train MAML for about five minutes and write a report (an unfinished demo goes on where it stopped)
	$(BIN)/quickstudy demo --out runs/demo
	@echo "The report is runs/demo/report.html: open it in a browser."

test: install  ## run the tests on two processes (PYTEST_ARGS=... for more options)
	$(BIN)/pytest -n 2 --dist worksteal $(PYTEST_ARGS)
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	  echo "Chromium is missing, so the page was NOT tested in a browser: apt-get install chromium chromium-driver"

quick: install  ## run the tests without the slow ones
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow" $(PYTEST_ARGS)

lint: install  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: install  ## put the code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is site/index.html."

notebooks: install  ## run the notebooks in docs/ and keep what they print
	cd $$(mktemp -d) && cp $(CURDIR)/docs/notebooks/*.ipynb . && \
	  PYTHONWARNINGS=ignore $(CURDIR)/$(BIN)/jupyter execute --inplace --NotebookClient.record_timing=False *.ipynb && \
	  cp *.ipynb $(CURDIR)/docs/notebooks

wheel: install  ## build sdist and wheel into dist/ and use the wheel alone in a clean environment
	$(BIN)/python .ci/wheel.py
