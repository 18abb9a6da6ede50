"""The routes of stems as a part of the HTTP application."""

from functools import partial
from pathlib import Path

from serve_app.api.part import ApiPart, Examples
from serve_app.stems.http import health, webhook
from serve_app.stems.http.derived import Derived
from serve_app.stems.http.intake import Intake
from serve_app.stems.http.routers import (
    analysis_jobs,
    analyze,
    configuration,
    events,
    jobs,
    reports,
    stems,
    uploads,
)
from serve_app.stems.http.services import StemsServices
from serve_app.stems.http.watch import JobWatch

_DESCRIPTION = """
1. `POST /separate` with the song as the multipart field `file`, or with its `url` as
   JSON: a `job_id` at once.
2. `GET /job/{job_id}` every 2 seconds, until `status` is `completed`; or with
   `?wait=30`, which answers as soon as the job is over; or follow
   `/job/{job_id}/events`.
3. `GET` each stem's `download_url`.
"""

_EXAMPLES: Examples = {
    ("paths", "/separate", "post"): {"separate": "", "separate_url": ", by URL"},
    ("paths", "/job/{job_id}", "get"): {"job": ""},
    ("paths", "/job/{job_id}", "delete"): {"delete": ""},
    ("paths", "/job/{job_id}/events", "get"): {"events": ""},
    ("paths", "/job/{job_id}/stems/{stem_name}", "get"): {"stem": ""},
    ("paths", "/job/{job_id}/analysis", "get"): {"analysis": ""},
    ("paths", "/job/{job_id}/waveform", "get"): {"waveform": ""},
    ("paths", "/job/{job_id}/export", "get"): {"export": ""},
    ("paths", "/uploads", "post"): {"upload": ""},
    ("paths", "/analyze", "post"): {"analyze": "", "analyze_long": ", as a job"},
    ("webhooks", "job.completed", "post"): {"webhook": ""},
}


def part(services: StemsServices) -> ApiPart:
    """Return the part over `services`; their working directory is made."""
    services.arrivals.working_dir.mkdir(parents=True, exist_ok=True)
    return ApiPart(
        name="stems",
        # What is asked before a client has a song stays open.
        public_routers=(configuration.router,),
        routers=(
            jobs.router,
            events.router,
            stems.router,
            reports.router,
            uploads.router,
            analyze.router,
            analysis_jobs.router,
        ),
        state={
            "stems": services,
            "stems_intake": Intake(services.arrivals),
            "stems_derived": Derived(services),
            "stems_watch": JobWatch(services.jobs),
            "stems_analysis_watch": JobWatch(services.analysis_jobs),
        },
        health=partial(health.of, services),
        health_names=("jobs_count", "queue"),
        description=_DESCRIPTION,
        sent=webhook.sent,
        examples=_EXAMPLES,
        examples_dir=Path(__file__).parent / "examples",
    )
