# Every target sets up what it needs; `make help` lists them.
#   PYTHON=python3.12   the interpreter that .venv is made with (make clean first to change it)
#   URL=https://...     with lockfile: the folder that the wheel is served from
#   SYSTEM=no           leave system packages alone; tests of absent devices are then skipped

PYTHON ?= python3
SYSTEM ?= yes
PYTEST ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup builders lint format types js test conformance fuzz demo docs bench gpu wheel packages lockfile toolchains newest lock clean

upper = $(shell printf '%s' $(1) | tr a-z A-Z)
asked = $(if $($(call upper,$(1))),--$(1) $($(call upper,$(1))))
heading = @printf '\n== %s\n' "$(1)"

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## system packages, .venv, node_modules: whatever is missing or out of date
	@$(PYTHON) scripts/setup.py $(if $(filter no,$(SYSTEM)),--no-system)

lint: setup ## formatting, lint rules, types and layers of the Python
	$(call heading,ruff format)
	@ruff format --check
	$(call heading,ruff check)
	@ruff check
	$(call heading,mypy)
	@mypy
	$(call heading,import-linter)
	@lint-imports --no-logo

js: lint ## types, build and tests of js_bindings
	$(call heading,tsc)
	@npm --prefix js_bindings run --silent types
	$(call heading,esbuild)
	@npm --prefix js_bindings run --silent build
	$(call heading,node --test)
	@npm --prefix js_bindings run --silent test

test: js ## everything that must pass: lint, js, then pytest (PYTEST="-k name" narrows it)
	$(call heading,pytest)
	@pytest $(if $(filter no,$(SYSTEM)),,--require-devices) $(PYTEST)

conformance: setup ## judge ONNX's backend suite on all targets; BROWSER=1 ONLY= TARGETS= PEERS=1 ACCEPT=1
	$(call heading,conformance)
	@python -m tests.conformance $(foreach o,only targets,$(call asked,$(o))) $(if $(BROWSER),--browser) $(if $(PEERS),--peers) $(if $(ACCEPT),--accept)

fuzz: setup ## compare random models with their references; GRAPHS= SEED= TARGET=
	$(call heading,fuzz)
	@python -m tests.fuzz $(foreach o,graphs seed target,$(call asked,$(o)))

format: setup ## format the Python and mend what ruff can mend
	@ruff check --fix-only --quiet
	@ruff format

# the demos' networks are so small that threads of NumPy's BLAS would only wait for each other
demo: setup ## build the demo site and serve it; CHECK=1 builds, opens each page and stops
	$(call heading,esbuild)
	@npm --prefix js_bindings run --silent build
	$(call heading,demo site)
	@OPENBLAS_NUM_THREADS=1 python -m demo_site.main $(if $(CHECK),--check)

docs: setup ## build the documentation's site in build/docs; SERVE=1 serves it on 127.0.0.1, PORT=
	$(call heading,esbuild)
	@npm --prefix js_bindings run --silent build
	$(call heading,documentation)
	@python -m docs_site.main $(if $(SERVE),--serve) $(call asked,port)

bench: setup ## race all engines on all benchmarks; ONLY= ENGINES= HOST= DTYPE= THREADS= DEVICE= ROUNDS=
	$(call heading,esbuild)
	@npm --prefix js_bindings run --silent build
	$(call heading,court)
	@python -m benchmarks.court $(foreach o,only engines host dtype threads device rounds,$(call asked,$(o)))

builders:
	@$(PYTHON) scripts/setup.py --packages $(if $(filter no,$(SYSTEM)),--no-system)

gpu: setup ## test kernels and time models on the GPU at hand, through wgpu-py; SMALL=1 on a software device
	$(call heading,pytest)
	@pytest -q --require-devices tests/kernels/test_webgpu.py $(PYTEST)
	$(call heading,benchmarks.gpu)
	@python -m benchmarks.gpu $(if $(SMALL),--small)

wheel: builders ## build dist/pyruntime-*.whl, with the JavaScript runtime for Pyodide inside
	$(call heading,esbuild)
	@npm --prefix js_bindings run --silent build
	$(call heading,hatchling)
	@rm -f dist/pyruntime-*.whl
	@python -m hatchling build --target wheel

packages: wheel ## build what users install, in dist: the wheel, and the npm package beside it
	$(call heading,npm pack)
	@rm -f dist/pyruntime-*.tgz
	@cd js_bindings && npm pack --silent --pack-destination ../dist

lockfile: setup wheel ## build dist/pyodide-lock.json beside the wheel (needs Python 3.12 or later)
	@python scripts/pyodide_lock.py $(URL)

toolchains: setup ## check each C toolchain that can be had, emcc among them
	@python scripts/toolchains.py

newest: setup ## type-check and test with the newest versions of every dependency
	@python scripts/dependencies.py newest

lock: setup ## resolve pyproject.toml and package.json anew and write both lock files
	@python scripts/dependencies.py lock
	@for folder in js_bindings demo_site docs_site tests/bundlers; do (cd $$folder && npm update --package-lock-only --loglevel=error) || exit; done
	@$(MAKE) setup

clean: ## remove what set-up and builds made
	rm -rf .venv build dist demo_site/dist js_bindings/dist */node_modules tests/bundlers/node_modules
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
