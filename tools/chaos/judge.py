"""The checks of a chaos run."""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from tests.s3 import S3Server
from tests.serve.service import wait_for
from tools.chaos.client import Client, Sent
from tools.chaos.monkey import Attack, Log, Monkey
from tools.chaos.receiver import Receiver

# Long enough for the retries of webhooks, half a minute, and for the sweeps of files.
_SETTLE_SECONDS = 180.0
_LEFT = ("SELECT id FROM queue", "SELECT id FROM messages")

# Recorded by Postgres itself, independent of the service.
_AUDIT = """
CREATE TABLE audit (job_id text, was text, now text, attempt integer);
CREATE FUNCTION audit_jobs() RETURNS trigger AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit VALUES (NEW.id, NULL, NEW.state, NEW.attempt);
    ELSIF NEW.state <> OLD.state OR NEW.attempt <> OLD.attempt THEN
        INSERT INTO audit VALUES (NEW.id, OLD.state, NEW.state, NEW.attempt);
    END IF;
    RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER audit_jobs AFTER INSERT OR UPDATE ON queue
    FOR EACH ROW EXECUTE FUNCTION audit_jobs();
"""
_ENDS = """
SELECT job_id,
       count(*) FILTER (
           WHERE now IN ('succeeded', 'failed', 'cancelled')
           AND was IS DISTINCT FROM now
       ) AS ends,
       count(*) FILTER (
           WHERE was IN ('succeeded', 'failed', 'cancelled') AND now <> was
       ) AS revivals,
       max(attempt) AS attempts
FROM audit GROUP BY job_id
"""


@dataclass(frozen=True)
class Plan:
    """The number of jobs of a run, and the frequency of its failures.

    The `jobs` are sent repeatedly until there were `least_strikes`, because on a fast
    machine they end after only a few.
    """

    jobs: int
    songs: int
    seed: int
    least_strikes: int = 0
    gap_seconds: tuple[float, float] = (2.0, 5.0)
    timeout_seconds: float = 900.0


@dataclass
class Verdict:
    """The results of a run; `faults` is empty if all checks passed."""

    log: Log
    attempts: Counter[int]
    retries: int
    cuts: int
    faults: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the results."""
        yield f"{'failure':32}{'times':>6}{'median s':>10}{'max s':>8}"
        for name, number in sorted(Counter(self.log.strikes).items()):
            took = self.log.recoveries.get(name, [])
            middle = f"{statistics.median(took):.1f}" if took else "-"
            worst = f"{max(took):.1f}" if took else "-"
            yield f"{name:32}{number:6}{middle:>10}{worst:>8}"
        yield f"{'failed webhook deliveries':32}{self.cuts:6}"
        yield f"{'retried requests':32}{self.retries:6}"
        spread = ", ".join(
            f"{jobs} in {attempts}" for attempts, jobs in sorted(self.attempts.items())
        )
        yield f"jobs by attempts: {spread}"
        yield from (f"FAILED: {fault}" for fault in self.faults)
        if not self.faults:
            yield "all checks passed"


class Judge:
    """Checks a run with failures, and compares its stems to a run without."""

    def __init__(
        self,
        plan: Plan,
        client: Client,
        receiver: Receiver,
        engine: Engine,
        s3: S3Server,
        bucket: str,
        attacks: Sequence[Attack],
    ) -> None:
        self._plan = plan
        self._client = client
        self._receiver = receiver
        self._engine = engine
        self._s3 = s3
        self._bucket = bucket
        self._attacks = attacks

    def judge(self, songs: list[Path]) -> Verdict:
        """Do both runs; return the results."""
        self._receiver.is_cutting = False
        calm = self._calm(songs)
        self._sql(_AUDIT)
        self._receiver.is_cutting = True
        angry = Monkey(self._attacks, self._plan.seed, self._plan.gap_seconds)
        angry.let_loose()
        wanted = [songs[number % len(songs)] for number in range(self._plan.jobs)]
        sent: list[Sent] = []
        ended: dict[str, Mapping[str, Any]] = {}
        try:
            while not sent or len(angry.log.strikes) < self._plan.least_strikes:
                batch = self._client.send_all(wanted, reused_each=5)
                ended |= {one.job_id: self._client.wait(one.job_id) for one in batch}
                sent += batch
        finally:
            log = angry.stop()
        verdict = Verdict(
            log,
            self._attempts(),
            self._client.retries,
            sum(self._receiver.cuts.values()),
        )
        verdict.faults += [f"{name}: it did not recover" for name in log.never]
        verdict.faults += self._jobs(sent, ended, calm)
        verdict.faults += self._ends(sent)
        verdict.faults += self._webhooks(sent)
        verdict.faults += self._remains([one.job_id for one in sent])
        return verdict

    def _calm(self, songs: list[Path]) -> dict[Path, dict[str, str]]:
        """Return the hashes of all stems of a run without failures."""
        sent = self._client.send_all(songs)
        found = {
            one.song: self._client.hashes(self._client.wait(one.job_id)) for one in sent
        }
        self._settle(sent)
        for one in sent:
            self._client.delete(one.job_id)
        return found

    def _jobs(
        self,
        sent: list[Sent],
        ended: Mapping[str, Mapping[str, Any]],
        calm: Mapping[Path, Mapping[str, str]],
    ) -> Iterator[str]:
        """Report jobs that were lost, failed, or have different stems."""
        if len({one.job_id for one in sent}) != len(sent):
            yield "two requests got the same job"
        for one in sent:
            job = ended[one.job_id]
            if job["status"] != "completed":
                yield f"{one.job_id} is {job['status']}: {job.get('error')}"
            elif self._client.hashes(job) != calm[one.song]:
                yield f"{one.job_id} has other stems than in the run without failures"

    def _ends(self, sent: list[Sent]) -> Iterator[str]:
        """Report jobs that did not end exactly once, by the audit of the database."""
        ends = {row.job_id: row for row in self._sql(_ENDS)}
        for one in sent:
            row = ends.get(one.job_id)
            if row is None or row.ends != 1 or row.revivals:
                yield f"{one.job_id} did not end exactly once: {row}"
        for job_id in ends.keys() - {one.job_id for one in sent}:
            yield f"{job_id} does not belong to a request"

    def _webhooks(self, sent: list[Sent]) -> Iterator[str]:
        """Report jobs without a delivered webhook, or with several webhook ids."""
        self._settle(sent)
        for one in sent:
            ids = set(self._receiver.taken[one.job_id])
            if len(ids) != 1:
                yield f"{one.job_id} must have 1 webhook id, got {len(ids)}"
        if self._receiver.forged:
            yield f"{self._receiver.forged} webhooks had an invalid signature"

    def _remains(self, job_ids: list[str]) -> Iterator[str]:
        """Delete all jobs; report files and rows that remain."""
        for job_id in job_ids:
            self._client.delete(job_id)
        try:
            wait_for(lambda: not self._left(), _SETTLE_SECONDS)
        except AssertionError:
            yield from (f"left behind: {what}" for what in self._left())

    def _left(self) -> list[str]:
        store = self._s3.client()
        objects = store.list_objects_v2(Bucket=self._bucket).get("Contents", [])
        unfinished = store.list_multipart_uploads(Bucket=self._bucket)
        left = [entry["Key"] for entry in objects]
        left += [entry["Key"] for entry in unfinished.get("Uploads", [])]
        for question in _LEFT:
            left += [row.id for row in self._sql(question)]
        return left

    def _settle(self, sent: list[Sent]) -> None:
        """Wait until all webhooks are delivered, at most as long as retries take."""
        try:
            wait_for(
                lambda: all(self._receiver.taken[one.job_id] for one in sent),
                _SETTLE_SECONDS,
            )
        except AssertionError:
            return  # `_webhooks` reports the missing ones.

    def _attempts(self) -> Counter[int]:
        return Counter(row.attempts for row in self._sql(_ENDS))

    def _sql(self, statement: str) -> list[Any]:
        return execute(self._engine, statement)


def execute(engine: Engine, statement: str) -> list[Any]:
    """Run a statement; return its rows, or an empty list."""
    with engine.connect() as connection:
        found = connection.execute(text(statement))
        return list(found) if found.returns_rows else []
