# Every target sets up what it needs: `make serve` on a fresh machine is enough.
VENV := .venv
PYTHON := $(VENV)/bin/python
PORT ?= 8000
HOST ?= 0.0.0.0
BENCH ?= data/bench
READY := $(VENV)/.ready

.PHONY: setup serve test test-unit check format bench chaos lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh $(VENV)
	@touch $@

serve: setup
	@exec $(VENV)/bin/stemserve serve --host $(HOST) --port $(PORT)

test: setup
	$(PYTHON) -m pytest

test-unit: setup
	$(PYTHON) -m pytest tests/unit tests/contracts

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest tests/unit tests/contracts

format: setup
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# About an hour on two cores, which should have nothing else to do.
bench: setup
	@mkdir -p $(BENCH)
	$(PYTHON) benchmarks/engine.py --json $(BENCH)/engine.json --plot $(BENCH)/engine.svg
	$(PYTHON) benchmarks/service.py --json $(BENCH)/service.json
	$(PYTHON) benchmarks/fairness.py
	$(PYTHON) benchmarks/memory.py
	$(PYTHON) benchmarks/first_audio.py
	$(PYTHON) benchmarks/claims.py
	$(PYTHON) benchmarks/reuse.py

# Some quarter of an hour: kills what serves 200 jobs, and sees that nothing is lost.
chaos: setup
	$(PYTHON) -m tools.chaos

# From nothing: versions that are locked already would split packages in two.
lock:
	@[ -x $(VENV)/bin/uv ] || $(MAKE) setup
	rm -f requirements.lock
	$(VENV)/bin/uv pip compile --quiet --no-emit-index-url --no-emit-find-links --no-header \
		--universal --fork-strategy fewest --python-version 3.11 --all-extras pyproject.toml \
		-o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache data
