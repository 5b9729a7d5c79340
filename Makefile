# Everything a newcomer or a CI machine needs starts here. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail
.DELETE_ON_ERROR:

PYTHON ?= python3
UV ?= $(shell command -v uv || echo .uv/bin/uv)
MEMBERS := core gateway operator engine-image client bench
PACKAGES := autellix_core autellix_gateway autellix_operator autellix_engine autellix autellix_bench
SOURCES := $(addsuffix /src,$(MEMBERS)) engine-image/benchmarks helm tests
PROJECT := .venv/installed
ENGINE := .venv-engine/installed
PEERS := .venv-peers/installed
# A machine with an NVIDIA driver gets vLLM's CUDA build, any other the CPU build.
ENGINE_KIND ?= $(if $(shell command -v nvidia-smi),cuda,cpu)
SUPPORT := $(basename $(notdir $(wildcard tests/support/*.py)))
# The usual first level, 0.25 s, is some 25 tokens of an 8-billion-parameter model on an A100; of the tiny model this is.
TINY_LEVELS := 0.05,0.1,0.2,0.4,0.8,1.6,3.2,6.4,12.8
HELM ?= helm
ARGS ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export UV_PYTHON_PREFERENCE := system

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort | expand -t 16

.PHONY: demo
demo: $(PROJECT) $(ENGINE) ## Two vLLM engines, Redis and the gateway; 12 agent programs; two tables side by side
	autellix demo $(ARGS)

.PHONY: up
up: $(PROJECT) $(ENGINE) ## The same stack for your own agent, until Ctrl-C
	autellix up $(ARGS)

.PHONY: test
test: $(PROJECT) $(ENGINE) $(PEERS) ## Install what is needed and run every test
	pytest --cov=autellix_core --cov-report=term-missing:skip-covered --cov-fail-under=100 $(ARGS)

.PHONY: test-matrix
test-matrix: $(PROJECT) $(ENGINE) ## The adapter over the scheduler of every version of vLLM that it is for, fetched into a cache
	UV=$(UV) pytest tests/matrix $(ARGS)

.PHONY: test-cluster
test-cluster: $(PROJECT) ## The tests on Kubernetes, on a cluster that is built once of pinned sources (ten minutes; Go 1.26)
	AUTELLIX_TEST_CLUSTER_BUILD=1 pytest tests/cluster $(ARGS)

.PHONY: bench-adapter
bench-adapter: $(ENGINE) ## The engine adapter against stock vLLM on this machine: latency, cost a step, throughput
	PYTHONPATH=engine-image/benchmarks .venv-engine/bin/python -m adapter_benchmark $(ARGS)

.PHONY: bench
bench: $(PROJECT) $(ENGINE) $(PEERS) ## The whole evaluation, simulated and beside other routers on this machine, as a page in .bench/evaluation
	python -m autellix_bench experiments --out .bench/evaluation
	python -m autellix_bench compare --out .bench/evaluation --level-bounds $(TINY_LEVELS) $(ARGS)
	python -m autellix_bench report .bench/evaluation

.PHONY: bench-overload
bench-overload: $(PROJECT) $(ENGINE) $(PEERS) ## Some systems of the comparison where calls queue for long: twenty minutes
	python -m autellix_bench compare --out .bench/overload --level-bounds $(TINY_LEVELS) --rate 2 --programs 150 \
		--systems direct-round-robin,vllm-router-programs,autellix $(ARGS)

.PHONY: bench-check
bench-check: $(PROJECT) ## Simulated scenarios against the ranges that are accepted of them: a minute
	python -m autellix_bench check $(ARGS)

.PHONY: check
check: $(PROJECT) ## Format, lint, types, import contracts, unit and paper tests: quick, before every commit
	ruff format --check $(SOURCES)
	ruff check $(SOURCES)
	mypy $(addprefix -p ,$(PACKAGES))
	mypy tests
	mypy $(addprefix -m ,$(SUPPORT))
	mypy -p adapter_benchmark
	mypy -p autellix_chart
	mypy helm/autellix/files
	lint-imports
	pytest -q tests/unit tests/paper

.PHONY: fmt
fmt: $(PROJECT) ## Format, and mend what the linter can mend
	ruff check --fix $(SOURCES)
	ruff format $(SOURCES)

.PHONY: install
install: $(PROJECT) ## The project's environment, in .venv

.PHONY: engine
engine: $(ENGINE) ## The engine's environment, in .venv-engine: vLLM and the adapter

.PHONY: peers
peers: $(PEERS) ## The routers that others serve with, in .venv-peers, to be measured beside ours

.PHONY: chart
chart: $(PROJECT) ## The chart's values, schema, CRDs and reference, made anew of what they come from
	PYTHONPATH=helm/src python -m autellix_chart

.PHONY: manifests
manifests: chart ## Plain YAML rendered from the chart; needs helm, which HELM may name
	PYTHONPATH=helm/src python -m autellix_chart manifests $(HELM)

.PHONY: clean
clean: ## Remove the environments and every cache in this folder
	rm -rf .venv .venv-engine .venv-peers .uv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Autellix needs Python 3.11 or newer; point PYTHON at one: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@{ $(PYTHON) -m venv .uv 2>/dev/null && .uv/bin/python -m pip install --quiet 'uv>=0.13,<0.14'; } || \
		{ rm -rf .uv; mkdir -p .uv && $(PYTHON) -m pip install --quiet --target .uv 'uv>=0.13,<0.14'; } || \
		{ rm -rf .uv; echo "This Python can make no environment: install python3-venv from your distribution, or uv (docs.astral.sh/uv)."; exit 1; }

$(PROJECT): requirements/project.txt $(addsuffix /pyproject.toml,$(MEMBERS)) | $(filter .uv/bin/uv,$(UV))
	$(UV) venv --quiet --allow-existing --python '>=3.11' .venv
	$(UV) pip sync --quiet --python .venv/bin/python requirements/project.txt
	$(UV) pip install --quiet --python .venv/bin/python --no-deps $(addprefix -e ,$(addprefix ./,$(MEMBERS)))
	@touch $@

# vLLM's own pins must not bind the gateway, so it has an environment of its own, as in production it has an image.
# Its modules are compiled here once: an engine starts three times faster with bytecode than without.
$(ENGINE): requirements/engine-$(ENGINE_KIND).txt core/pyproject.toml engine-image/pyproject.toml | $(filter .uv/bin/uv,$(UV))
	$(UV) venv --quiet --allow-existing --python '>=3.11,<3.14' .venv-engine
	$(UV) pip sync --quiet --python .venv-engine/bin/python --compile-bytecode requirements/engine-$(ENGINE_KIND).txt
	$(UV) pip install --quiet --python .venv-engine/bin/python --no-deps -e ./core -e ./engine-image
	@touch $@

# Programs of others with pins of their own, which only the benchmarks that compare with them need.
$(PEERS): requirements/peers.txt | $(filter .uv/bin/uv,$(UV))
	$(UV) venv --quiet --allow-existing --python '>=3.11,<3.14' .venv-peers
	$(UV) pip sync --quiet --python .venv-peers/bin/python --compile-bytecode requirements/peers.txt
	@touch $@

COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make requirements'
LOCAL = $(addprefix --no-emit-package ,autellix-core autellix-gateway autellix-operator autellix-engine autellix autellix-bench)

.PHONY: requirements
requirements: | $(filter .uv/bin/uv,$(UV)) ## Pin the newest versions of everything anew
	$(COMPILE) --upgrade --group pyproject.toml:dev $(addsuffix /pyproject.toml,$(MEMBERS)) --extra redis $(LOCAL) -o requirements/project.txt
	$(COMPILE) gateway/pyproject.toml -c requirements/project.txt $(LOCAL) -o requirements/gateway.txt
	$(COMPILE) operator/pyproject.toml -c requirements/project.txt $(LOCAL) -o requirements/operator.txt
	$(COMPILE) requirements/engine-sim.in -c requirements/project.txt -o requirements/engine-sim.txt
	$(COMPILE) --upgrade $(addprefix --no-emit-package ,triton torchvision torchaudio torchcodec) requirements/engine-cpu.in --overrides requirements/engine-cpu-overrides.in -o requirements/engine-cpu.txt
	$(COMPILE) --upgrade requirements/engine-cuda.in -o requirements/engine-cuda.txt
	$(COMPILE) --upgrade requirements/peers.in -o requirements/peers.txt
