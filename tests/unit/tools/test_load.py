"""Both generators make the load of a profile, and the report says what went wrong."""

import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, stdev
from threading import Thread

import psutil
import pytest

from tests.unit.live import separating, serving
from tests.unit.server import Server
from tools.load import report, songs
from tools.load.__main__ import main
from tools.load.clients import Downloader, Listener, Poller, Shared, Uploader, uploaders
from tools.load.footprint import Footprint, LocalServer
from tools.load.jobs import Jobs
from tools.load.measures import Call, Measures, Recorder, percentile
from tools.load.profile import Profile, Uploads

pytestmark = pytest.mark.anyio

SHORT = Path("configs/load/short.yaml")
JOB = "0" * 32
POLL, STEM = "GET /job/{id}", "GET stem"
EVENTS = "GET /job/{id}/events, to the end"

# Writes the response to a path.
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Run a server whose every response `answer` writes; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def body(status: int, content: bytes, **headers: str) -> Answer:
    """Return an answer with this content."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def shared(url: str, *job_ids: str) -> Shared:
    """Return what clients of a run share that knows these jobs."""
    jobs = Jobs()
    for job_id in job_ids:
        jobs.add(job_id)
    return Shared(url, "", Profile(), [b""], jobs, Recorder(time.monotonic()))


def calls(run: Shared) -> dict[str, Call]:
    """Return what was recorded, by call."""
    return dict(run.recorder.measures("test").calls)


@pytest.mark.parametrize("generator", ["plain", "locust"])
async def test_a_profile_is_made_and_reported(
    server: Server, tmp_path: Path, generator: str
) -> None:
    if generator == "locust" and find_spec("locust") is None:
        pytest.skip("locust is not installed")
    server.stems = replace(
        server.stems, limits=replace(server.stems.limits, max_queued_jobs=100)
    )
    arguments = ["--profile", str(SHORT), "--generator", generator]
    with serving(server.app) as url, separating(server):
        status = main([*arguments, "--url", url, "--out", str(tmp_path)])
    found = json.loads((tmp_path / "report.json").read_text())
    assert (status, found["problems"], found["errors"]) == (0, [], {})
    rows = found["calls"]
    assert {"POST /separate", POLL, EVENTS, STEM, "DELETE /job/{id}"} <= set(rows)
    # One a second, for five seconds.
    assert 2 <= rows["POST /separate"]["responses"] <= 9
    assert rows[POLL]["p50_ms"] <= rows[POLL]["p99_ms"] <= rows[POLL]["max_ms"]
    assert found["generator_cpu_percent"] > 0
    assert "<td>POST /separate</td>" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (body(503, b"no workers"), "503 no workers"),
        (body(404, b"unknown"), "404 unknown"),
        (body(200, b"<html>"), "JSONDecodeError"),
    ],
)
def test_what_is_no_job_is_an_error(answer: Answer, reason: str) -> None:
    with answering(answer) as url:
        run = shared(url, JOB)
        Poller(run).step()
    found = calls(run)[POLL]
    assert (found.errors, found.seconds) == (1, [])
    assert reason in found.examples[0]


def test_a_server_that_is_gone_is_an_error() -> None:
    with answering(body(200, b"")) as url:
        pass
    run = shared(url, JOB)
    Poller(run).step()
    assert calls(run)[POLL].errors == 1


def test_429_is_no_error_and_the_client_waits() -> None:
    with answering(body(429, b"", Retry_After="1")) as url:
        run = shared(url, JOB)
        began = time.monotonic()
        Poller(run).step()
    found = calls(run)[POLL]
    assert (found.refused, found.errors) == (1, 0)
    assert time.monotonic() - began >= 1


def test_a_cancelled_job_may_be_unknown() -> None:
    with answering(body(404, b"unknown")) as url:
        run = shared(url)
        run.jobs.add(JOB, cancelled_share=1)
        poller = Poller(run)
        poller._job_id = JOB
        time.sleep(1.1)
        assert run.jobs.take_to_cancel() == JOB
        poller.step()
    assert calls(run)[POLL].errors == 0


def test_a_share_of_jobs_is_cancelled_evenly() -> None:
    jobs = Jobs()
    for number in range(10):
        jobs.add(str(number), cancelled_share=0.25)
    time.sleep(1.1)
    assert [jobs.take_to_cancel() for _ in range(3)] == ["3", "7", None]


def events(*statuses: str) -> bytes:
    """Return a stream of events, as the server sends them."""
    return b"".join(
        b'data: {"status": "%s"}\nid: %d\n\n' % (status.encode(), number)
        for number, status in enumerate(statuses)
    )


def test_events_go_on_when_the_server_asks_to_come_back() -> None:
    seen: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers["Last-Event-ID"])
        rest = events("completed") if len(seen) == 3 else b""
        first = b"" if seen[-1] else events("pending", "processing")
        body(200, first + (rest or b": reconnect\nretry: 10\n\n"))(request)

    with answering(answer) as url:
        run = shared(url, JOB)
        Listener(run).step()
    assert seen == [None, "1", "1"]
    assert calls(run)[EVENTS].errors == 0


@pytest.mark.parametrize("last", ["completed", "processing"])
def test_events_that_end_before_the_job_does_are_an_error(last: str) -> None:
    stream = events("pending", last)
    with answering(body(200, stream)) as url:
        run = shared(url, JOB)
        Listener(run).step()
    assert calls(run)[EVENTS].errors == (0 if last == "completed" else 1)


@pytest.mark.parametrize("size", [5, 6])
def test_a_stem_of_another_size_is_an_error(size: int) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        host, port, *_ = request.server.server_address
        stem = {"download_url": f"http://{host}:{port}/stem", "size": size}
        job = {"status": "completed", "stems": {"drums": stem}}
        content = b"drums" if request.path == "/stem" else json.dumps(job).encode()
        body(200, content)(request)

    with answering(answer) as url:
        run = shared(url, JOB)
        Downloader(run).step()
    assert calls(run)[STEM].errors == (0 if size == 5 else 1)


def test_responses_of_the_ramp_do_not_count() -> None:
    recorder = Recorder(time.monotonic() + 60)
    recorder.succeeded(POLL, 0.1)
    recorder.failed(POLL, 0.1, "503")
    assert recorder.measures("test").calls == {}


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 2.0), (0.75, 3.0), (0.99, 4.0)])
def test_a_percentile_is_one_of_the_times(share: float, seconds: float) -> None:
    assert percentile([3.0, 1.0, 4.0, 2.0], share) == seconds


def grown(name: str, warming: Sequence[float], later: Sequence[float]) -> Footprint:
    """Return samples every 5 s: in the first minute, and later."""
    values = [*warming, *later]
    return Footprint([5.0 * index for index in range(len(values))], {name: values})


def test_growth_is_measured_after_the_warm_up() -> None:
    flat = [600 + index / 6 for index in range(30)]
    found = grown("memory", [50.0 * index for index in range(12)], flat)
    assert found.growth_per_minute("memory", 60) == pytest.approx(2)
    assert found.growth_per_minute("memory", 1e6) is None


def test_a_process_that_was_killed_and_came_back_is_no_growth() -> None:
    later = [600.0] * 10 + [300.0] * 8 + [600.0] * 20
    found = grown("memory", [0.0] * 12, later)
    assert found.growth_per_minute("memory", 60) == 0


def test_memory_that_is_given_back_does_not_hide_what_is_kept() -> None:
    taken = grown("kept", [], [0.0] * 60)
    samples = range(60)
    # Songs come and go in one process, of which every third sample sees the least.
    taken.kept[1] = {each: 600.0 + 2 * each * (each * 7 % 3) for each in samples}
    taken.kept[2] = {each: 150 + each / 6 for each in samples}
    # Was killed on the way.
    taken.kept[3] = {each: 90.0 + 20 * each for each in range(40)}
    taken.names[2] = "Api"
    assert taken.growth_per_minute("kept", 60) == pytest.approx(2)
    assert taken.kept_growths(60)[0] == ("Api", pytest.approx(2))


def test_what_is_left_after_a_rest_is_no_growth_under_load() -> None:
    found = grown("disk", [0.0] * 12, [100.0] * 20)
    found.end_load()
    for value in (60.0, 30.0, 4.0):
        found.at_seconds.append(found.at_seconds[-1] + 5)
        found.values["disk"].append(value)
    assert found.growth_per_minute("disk", 60) == 0
    assert found.left("disk") == 4
    assert Footprint().left("rows") is None


def test_random_uploads_keep_the_rate_and_differ() -> None:
    uploads = Uploads(per_second=2, song_seconds=2, random=True)
    encoded = songs.encoded(uploads)
    assert len({len(each) for each in encoded}) == len(encoded) > 1
    run = replace(shared("http://a"), profile=Profile(uploads=uploads), songs=encoded)
    uploader = Uploader(run)
    waits = [uploader.period_seconds for _ in range(4_000)]
    mean_seconds = uploaders(run.profile) / uploads.per_second
    # Five standard errors of an exponential distribution.
    assert fmean(waits) == pytest.approx(mean_seconds, rel=5 / math.sqrt(len(waits)))
    assert stdev(waits) > mean_seconds / 2


def test_each_limit_that_is_exceeded_is_a_problem() -> None:
    growth = {"memory": 1, "kept": 1, "rows": 1}
    limits = {
        "p99_ms": {POLL: 250, STEM: 1},
        "growth_per_minute": growth,
        "left": {"memory": 100, "rows": 1},
    }
    profile = Profile.model_validate({"limits": limits})
    measures = Measures("test", 10, 0.1, {POLL: Call([0.1, 0.3], 0, 2, ["503"])})
    taken = grown("memory", [0.0] * 16, [5.0 * index for index in range(40)])
    taken.values["rows"] = [7] * len(taken.at_seconds)
    found = report.report("http://a", profile, measures, taken, {"Separator": 3})
    assert found["problems"] == [
        "2 errors, and the limit is 0",
        f"p99 of {POLL} is 300.0 ms, and the limit is 250 ms",
        f"no response to {STEM}",
        "memory grows by 60.0 MB a minute, and the limit is 1",
        "195.0 MB more of memory are left, and the limit is 100",
    ]
    page = report.page(found)
    assert all(problem in page for problem in ("2 errors", "60.0 MB", "503"))


def test_samples_that_failed_are_a_problem() -> None:
    measures = Measures("test", 10, 0.1, {})
    taken = Footprint(failures=["OSError: gone"] * 3)
    found = report.report("http://a", Profile(), measures, taken, {})
    assert found["problems"] == ["3 samples of the footprint failed: OSError: gone"]


def test_jobs_that_may_have_expired_are_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = Jobs()
    jobs.add("old")
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert jobs.any() is None
    jobs.add("new")
    assert jobs.any() == "new"
    assert [jobs.take_to_download() for _ in range(2)] == ["new", None]


def test_a_run_within_its_limits_has_no_problems() -> None:
    profile = Profile.model_validate({"limits": {"p99_ms": {POLL: 250}}})
    measures = Measures("test", 10, 0.1, {POLL: Call([0.1] * 99)})
    found = report.report("http://a", profile, measures, Footprint(), {})
    assert found["problems"] == []


def test_the_footprint_of_a_server_is_seen(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
        connection.execute("CREATE TABLE one (x)")
        connection.executemany("INSERT INTO one VALUES (?)", [(1,), (2,)])
        connection.commit()
    (tmp_path / "stem.wav").write_bytes(bytes(3_000_000))
    found = Footprint()
    found.look(LocalServer(psutil.Process(), tmp_path), 1.0)
    assert found.values["rows"] == [2]
    assert 3 < found.values["disk"][0] < 4
    assert found.values["memory"][0] > found.values["kept"][0] > 10
    ballast = bytearray(os.urandom(50_000_000))
    found.peek([psutil.Process()])
    del ballast
    found.look(LocalServer(psutil.Process(), tmp_path), 2.0)
    assert found.values["kept"][1] < found.values["kept"][0] + 40
    assert found.values["descriptors"][0] >= 3


def test_a_failed_job_is_an_error() -> None:
    job = {"status": "failed", "error": "the separator crashed"}
    with answering(body(200, json.dumps(job).encode())) as url:
        run = shared(url, JOB)
        Poller(run).step()
    assert "the separator crashed" in calls(run)[POLL].examples[0]


@pytest.mark.parametrize(
    "text",
    ["uploads: {per_seconds: 1}", "duration_seconds: 0", "cancels: {share: 2}", "[]"],
)
def test_an_invalid_profile_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"profile\.yaml: .*, got ") as raised:
        Profile.read(path)
    assert "pydantic" not in str(raised.value)
    assert main(["--profile", str(path), "--url", "http://127.0.0.1:9"]) == 2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9", "no server answers"),
        ("foo", "no server answers"),
        ("ftp://127.0.0.1", "no server answers"),
    ],
)
def test_a_wrong_address_is_said_at_once(
    capsys: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    assert main(["--profile", str(SHORT), "--url", url]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "refuses the key"), (404, "is no stemserve")]
)
def test_a_server_that_takes_no_jobs_is_said_at_once(
    capsys: pytest.CaptureFixture[str], status: int, reason: str
) -> None:
    with answering(body(status, b"")) as url:
        assert main(["--profile", str(SHORT), "--url", url]) == 2
    assert reason in capsys.readouterr().err


def test_a_place_that_takes_no_report_is_said_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--profile", str(SHORT), "--out", "/proc/none"]) == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(Path("configs/load").glob("*.yaml")))
def test_the_profiles_that_come_with_it_are_valid(path: Path) -> None:
    assert Profile.read(path).uploads.per_second > 0


def test_processes_are_killed_only_of_a_server_that_is_started() -> None:
    night = ["--profile", "configs/load/night.yaml"]
    assert main([*night, "--url", "http://127.0.0.1:9"]) == 2


def test_a_fake_model_is_for_a_server_that_is_started() -> None:
    assert main(["--url", "http://127.0.0.1:9", "--fake-model"]) == 2
