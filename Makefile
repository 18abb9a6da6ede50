# Every target sets up what it needs, so `make serve` works on a fresh machine.
VENV := .venv
# Not the scripts beside it: their first line can't hold a path with spaces.
PYTHON := "$(VENV)/bin/python"
PORT ?= 8000
PROFILE ?= configs/load/service.yaml
# `make serve HOST=0.0.0.0` listens on all addresses.
HOST ?= 127.0.0.1
BENCH ?= data/bench
MUSIC ?= data/music
IMAGE ?= data/image
SD15 ?= data/sd15
DEVICE ?= cpu
# Stamps of the environment: the packages for serving, and those for development.
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.ready-dev

# On up to four cores; all tests of a file in one process, for their shared fixtures.
UNIT_TESTS := -n logical --maxprocesses 4 --dist loadfile tests/unit tests/contracts \
	tests/page

.PHONY: setup serve test test-unit check format bench loadtest verify chaos night lock \
	clean try-image sbom try-cluster

setup: $(DEV_READY)

$(READY): requirements.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh "$(VENV)" requirements.lock
	@touch $@

$(DEV_READY): requirements-dev.lock $(READY)
	@scripts/setup.sh "$(VENV)" requirements-dev.lock
	@touch $@

serve: $(READY)
	@exec $(PYTHON) -m serve_app.cli serve --host "$(HOST)" --port "$(PORT)"

# The night mostly waits, so the unit tests run beside it. Those of the service run alone:
# each has processes enough of its own.
test: setup
	@status=0; output=$$(mktemp); \
	$(PYTHON) -m pytest tests/night >"$$output" 2>&1 & night=$$!; \
	$(PYTHON) -m pytest $(UNIT_TESTS) || status=$$?; \
	wait $$night || status=$$?; cat "$$output"; rm "$$output"; \
	$(PYTHON) -m pytest tests/serve || status=$$?; \
	exit $$status

test-unit: setup
	$(PYTHON) -m pytest $(UNIT_TESTS)

check: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest $(UNIT_TESTS)

format: setup
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# Takes about an hour on two cores. Run nothing else meanwhile.
bench: setup
	@mkdir -p "$(BENCH)"
	$(PYTHON) benchmarks/engine.py --json "$(BENCH)/engine.json" --plot "$(BENCH)/engine.svg"
	$(PYTHON) benchmarks/service.py --json "$(BENCH)/service.json"
	$(PYTHON) benchmarks/fairness.py
	$(PYTHON) benchmarks/memory.py
	$(PYTHON) benchmarks/first_audio.py
	$(PYTHON) benchmarks/claims.py
	$(PYTHON) benchmarks/reuse.py

# Takes six minutes. `make loadtest URL=https://… PROFILE=…` loads a server that runs, with
# the key in STEMSERVE_API_KEY; without URL, a server with a network that costs nothing.
loadtest: setup
	$(PYTHON) -m tools.load --profile "$(PROFILE)" $(if $(URL),--url "$(URL)",--fake-model)

# What is too long for each change, in about 50 minutes on two cores: the scores of the
# analysis on pieces that it was not tuned on, the accuracy of tempos by confidence, its
# speed compared with librosa, a song of ten hours, access control (times that could tell
# another tenant's jobs, its cost, revoked keys, generated requests), the metrics of
# 100,000 jobs, an upgrade under 50 jobs, an update under 100 event streams, each alert,
# with Debian's prometheus, and clusters of three nodes, for which it needs root. Pieces
# are rendered once, with fluidsynth and mma.
verify: setup
	$(PYTHON) -m tools.music --part score --out "$(MUSIC)/score"
	$(PYTHON) -m benchmarks.analysis "$(MUSIC)/score" --misses
	$(PYTHON) benchmarks/confidence.py "$(MUSIC)/score"
	$(PYTHON) benchmarks/analysis_speed.py --check
	$(PYTHON) benchmarks/ten_hours.py --check
	$(PYTHON) benchmarks/timing_of_404.py --check
	$(PYTHON) benchmarks/access_cost.py --check
	$(PYTHON) benchmarks/revocation.py --check
	$(PYTHON) benchmarks/metrics.py --check
	$(PYTHON) -m tools.fuzz_api
	UPGRADE_SONGS=50 $(PYTHON) -m pytest tests/serve/test_upgrade.py
	STREAMS_LISTENERS=100 $(PYTHON) -m pytest tests/serve/test_streams.py
	LIBRARY_KILLS=all $(PYTHON) -m pytest tests/serve/test_library.py
	$(PYTHON) benchmarks/library.py --check
	$(PYTHON) benchmarks/library_memory.py --check
	$(PYTHON) benchmarks/library_drain.py --check
	ARCHIVE_TRIGGERS=200 $(PYTHON) -m pytest tests/serve/test_archive.py
	$(PYTHON) benchmarks/archive_streaming.py --check
	$(PYTHON) benchmarks/images.py --directory "$(SD15)" --check
	$(PYTHON) benchmarks/page.py --check
	$(PYTHON) benchmarks/first_paint.py --check
	$(PYTHON) -m tools.alert_drill
	$(PYTHON) -m tools.cluster

# Takes about 15 minutes, and needs root, iproute2 and redis-server: upgrades, scaling and
# the loss of a head under load, on clusters of three Ray nodes on this machine.
# `make try-cluster OPTIONS="--only config --ha-proxy"` for a part of it.
try-cluster: setup
	$(PYTHON) -m tools.cluster $(OPTIONS)

# Takes about 15 minutes: kills processes that serve 200 jobs; no job may be lost.
chaos: setup
	$(PYTHON) -m tools.chaos

# Takes two hours: light random load and faults, under which nothing may grow.
night: setup
	$(PYTHON) -m tools.load --profile configs/load/night.yaml

# Takes about ten minutes, needs root on Debian and 7 GB of disk: carries out the steps of
# the Dockerfile without a container engine, and separates a song with the result.
try-image: setup
	scripts/try_image.sh "$(IMAGE)" --build-arg DEVICE="$(DEVICE)"

# The bill of materials of that image, in $(IMAGE)/sbom.json.
sbom: setup
	scripts/try_image.sh "$(IMAGE)" --build-arg DEVICE="$(DEVICE)" --no-try

# Locks from scratch: existing locks would make uv resolve some packages to two versions.
COMPILE = $(PYTHON) -m uv pip compile --quiet --no-emit-index-url --no-emit-find-links \
	--no-header --universal --fork-strategy fewest --python-version 3.11
SERVING := --extra postgres --extra s3 --extra openvino --extra demucs --extra beats \
	--extra traces --extra archive --extra hub --extra images

lock:
	@[ -x $(PYTHON) ] || $(MAKE) $(READY)
	rm -f requirements.lock requirements-build.lock requirements-dev.lock
	$(COMPILE) pyproject.toml $(SERVING) --generate-hashes -o requirements.lock
	$(COMPILE) --group build -c requirements.lock --generate-hashes -o requirements-build.lock
	$(COMPILE) pyproject.toml --all-extras -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf "$(VENV)" .pytest_cache .mypy_cache .ruff_cache data
