# Two commands matter: `make demo` and `make test`. Each installs what it needs into .venv.
PYTHON ?= python3
FLAVOUR ?= $(shell if [ "$$(uname)" = Darwin ]; then echo mac; elif command -v nvidia-smi >/dev/null; then echo gpu; else echo cpu; fi)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install demo test check bench torture experiments docs lock openapi clean

install: .venv/installed  ## put everything into .venv (four to six minutes the first time)

.venv/installed: requirements/$(FLAVOUR).txt pyproject.toml
	$(PYTHON) -m venv .venv
	# Compiled afterwards, on all cores: where PYTHONDONTWRITEBYTECODE is set, every process would compile torch and vLLM anew.
	$(BIN)/pip install --quiet --no-compile --no-deps -r requirements/$(FLAVOUR).txt
	$(BIN)/pip install --quiet --no-deps --editable .
	$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' .venv/lib || true  # templates and the like are no Python, and need not be
	touch $@

demo: install  ## the whole main job on a tiny real teacher: ask, curate, train, measure
	examples/arithmetic/demo.sh

test: install check  ## everything this machine can run; the last lines say what it had to leave out
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: install  ## format, lint, types, who imports whom, OpenAPI file and manifest schema up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python -m service.openapi --check docs/openapi.json
	$(BIN)/python -m filters.manifest_schema --check docs/manifest.schema.json

bench: install  ## speed beside the plain alternative; wants a quiet machine and about ten minutes
	$(BIN)/python -m bench.dispatch
	$(BIN)/python -m bench.served

torture: install  ## 20,000 lines while everything is killed with -9, again and again; about four minutes
	$(BIN)/python -m bench.torture

experiments: install  ## every training method measured on the tiny teacher, into docs/experiments.md; goes on where it stopped
	$(BIN)/python -m bench.experiments

openapi: install  ## write the OpenAPI file and the manifest's JSON Schema anew
	$(BIN)/python -m service.openapi docs/openapi.json
	$(BIN)/python -m filters.manifest_schema docs/manifest.schema.json

docs: install  ## build the documentation into site/; `mkdocs serve` shows it while it is written
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

LOCK = uv pip compile --quiet --upgrade --python-version 3.11 --no-header --no-annotate --no-emit-find-links $(addprefix --find-links ,$(RETORT_FIND_LINKS)) pyproject.toml
ALL = --extra train --extra tasks --extra postgres --extra s3 --extra otel --extra dev
lock:  ## compile requirements/*.txt anew
	$(LOCK) requirements/cpu.in $(ALL) --overrides requirements/overrides.txt --output-file requirements/cpu.txt
	sed -i 's/^\(torch==.*\)+cpu.*/\1/' requirements/cpu.txt
	$(LOCK) $(ALL) --extra teacher --output-file requirements/gpu.txt
	$(LOCK) $(ALL) --python-platform macos --output-file requirements/mac.txt
	$(LOCK) --extra postgres --extra s3 --extra otel --output-file requirements/service.txt

clean:  ## remove what was made here: environment, demo, data of tests
	rm -rf .venv demo site tutorial .pytest_cache .ruff_cache .import_linter_cache
