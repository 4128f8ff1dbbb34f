# Two commands matter: `make up` runs a fleet, `make test` runs every test.

PYTHON ?= python3
DATA ?= fleet-data
ARGS ?=
TESTS ?=
N ?= 500
SEED ?=
COUNT.failover = --kills
COUNT.readback = --reads
COUNT.leaks = --sessions
COUNT.restarts = --restarts
COUNT.shells = --restarts
COUNT.hostile = --sessions

# Another interpreter gets an environment of its own, next to .venv.
VENV := .venv$(if $(filter-out python3,$(notdir $(PYTHON))),-$(notdir $(PYTHON)))

help:
	@echo 'make up      set everything up and run a fleet (DATA=$(DATA), ARGS=)'
	@echo 'make test    set everything up and run the tests (TESTS=, PYTHON=)'
	@echo 'make setup   what both of them do first: fill $(VENV)'
	@echo 'make lint    run only the checks of style and layers'
	@echo 'make format  let ruff rewrite the sources'
	@echo 'make faults  let things fail, then compare all (N=$(N), SEED=, ARGS=)'
	@echo 'make failover  kill primaries behind haproxy (N=200, SEED=, ARGS=)'
	@echo 'make readback  read what was pushed (N=20000, SEED=, ARGS=)'
	@echo 'make leaks   look for what sessions leave behind (N=100000, SEED=, ARGS=)'
	@echo 'make restarts  restart the warm server under load (N=200, SEED=, ARGS=)'
	@echo 'make shells  the same for the servers of chg (N=200, SEED=, ARGS=)'
	@echo 'make hostile  be rude to the warm server (N=40, SEED=, ARGS=)'
	@echo 'make powercut  cut the power of ext4 disks, as root (N=, SEED=, ARGS=)'
	@echo 'make fuzz    feed what takes input with nonsense (N=100000, SEED=, ARGS=)'
	@echo 'make bench   run the benchmarks'
	@echo 'make clean   remove the environments and every cache in the tree'

setup:
	@tests/setup/environment --python '$(PYTHON)' $(VENV)

up: setup
	@exec $(VENV)/bin/hgfleet up --data '$(DATA)' $(ARGS)

test:
	@tests/setup/environment --servers --python '$(PYTHON)' $(VENV)
	@exec $(VENV)/bin/python tests/run $(TESTS)

faults:
	@tests/setup/environment --servers --python '$(PYTHON)' $(VENV)
	@exec $(VENV)/bin/python tests/faults/run.py --faults '$(N)' \
		$(if $(SEED),--seed '$(SEED)') $(ARGS)

failover readback leaks restarts shells hostile:
	@tests/setup/environment --servers --python '$(PYTHON)' $(VENV)
	@exec $(VENV)/bin/python tests/faults/$@.py --seed '$(SEED)' \
		$(if $(filter command line environment,$(origin N)),$(COUNT.$@) '$(N)') \
		$(ARGS)

powercut: setup
	@exec $(VENV)/bin/python tests/faults/powercut.py --pushes '$(N)' \
		$(if $(SEED),--seed '$(SEED)') $(ARGS)

fuzz: setup
	@exec $(VENV)/bin/python tests/fuzz/run.py $(if $(SEED),--seed '$(SEED)') \
		$(if $(filter command line environment,$(origin N)),--inputs '$(N)') \
		$(ARGS)

lint: setup
	@exec $(VENV)/bin/python tests/run 'test-check-*.t' tests/unit/test_layers.py

format: setup
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

bench:
	@tests/setup/environment --bench --python '$(PYTHON)' $(VENV)
	@HGFLEET_THOROUGH=1 $(VENV)/bin/python bench $(ARGS)

clean:
	rm -rf .venv .venv-* .venv*.lock build dist tests/names/*.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis

.PHONY: help setup up test faults failover readback leaks restarts shells hostile
.PHONY: powercut fuzz lint format bench clean
