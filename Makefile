# Every target sets up what it needs: `make serve` on a fresh machine is enough.
VENV := .venv
# Not the scripts beside it: in a directory with blanks their first line can't name it.
PYTHON := "$(VENV)/bin/python"
PORT ?= 8000
# `make serve HOST=0.0.0.0` serves the network.
HOST ?= 127.0.0.1
BENCH ?= data/bench
MUSIC ?= data/music
# What serving needs, and what tests and development add to that.
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.ready-dev

.PHONY: setup serve test test-unit check format bench verify chaos lock clean

setup: $(DEV_READY)

$(READY): requirements.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh "$(VENV)" requirements.lock
	@touch $@

$(DEV_READY): requirements-dev.lock $(READY)
	@scripts/setup.sh "$(VENV)" requirements-dev.lock
	@touch $@

serve: $(READY)
	@exec $(PYTHON) -m serve_app.cli serve --host "$(HOST)" --port "$(PORT)"

test: setup
	$(PYTHON) -m pytest

test-unit: setup
	$(PYTHON) -m pytest tests/unit tests/contracts

check: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest tests/unit tests/contracts

format: setup
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# About an hour on two cores, which should have nothing else to do.
bench: setup
	@mkdir -p "$(BENCH)"
	$(PYTHON) benchmarks/engine.py --json "$(BENCH)/engine.json" --plot "$(BENCH)/engine.svg"
	$(PYTHON) benchmarks/service.py --json "$(BENCH)/service.json"
	$(PYTHON) benchmarks/fairness.py
	$(PYTHON) benchmarks/memory.py
	$(PYTHON) benchmarks/first_audio.py
	$(PYTHON) benchmarks/claims.py
	$(PYTHON) benchmarks/reuse.py

# What is too long for each change, some 25 minutes on two cores: the score of the analysis
# on pieces that it was never tuned on, how often tempi of each confidence are right, its
# speed beside librosa, ten hours in one go, and an upgrade under 50 jobs. Pieces are
# rendered once, with fluidsynth and mma.
verify: setup
	$(PYTHON) -m tools.music --part score --out "$(MUSIC)/score"
	$(PYTHON) -m benchmarks.analysis "$(MUSIC)/score" --misses
	$(PYTHON) benchmarks/confidence.py "$(MUSIC)/score"
	$(PYTHON) benchmarks/analysis_speed.py --check
	$(PYTHON) benchmarks/ten_hours.py --check
	UPGRADE_SONGS=50 $(PYTHON) -m pytest tests/serve/test_upgrade.py

# Some quarter of an hour: kills what serves 200 jobs, and sees that nothing is lost.
chaos: setup
	$(PYTHON) -m tools.chaos

# From nothing: versions that are locked already would split packages in two.
COMPILE = $(PYTHON) -m uv pip compile --quiet --no-emit-index-url --no-emit-find-links \
	--no-header --universal --fork-strategy fewest --python-version 3.11 pyproject.toml
SERVING := --extra postgres --extra s3 --extra openvino --extra demucs --extra beats

lock:
	@[ -x $(PYTHON) ] || $(MAKE) $(READY)
	rm -f requirements.lock requirements-dev.lock
	$(COMPILE) $(SERVING) -o requirements.lock
	$(COMPILE) --all-extras -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf "$(VENV)" .pytest_cache .mypy_cache .ruff_cache data
