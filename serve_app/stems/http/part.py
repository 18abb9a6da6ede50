"""The part of the HTTP application that stems adds."""

from functools import partial
from pathlib import Path

from serve_app.api.part import ApiPart, Examples
from serve_app.stems.analysis_jobs.kind import NAME as ANALYSIS
from serve_app.stems.http import health, webhook
from serve_app.stems.http.checksums import Checksums
from serve_app.stems.http.derived import Derived
from serve_app.stems.http.intake import Intake
from serve_app.stems.http.routers import (
    analysis_jobs,
    analyze,
    configuration,
    events,
    jobs,
    mixes,
    reports,
    stems,
    uploads,
    zipped,
)
from serve_app.stems.http.services import StemsServices
from serve_app.stems.http.watch import JobWatch
from serve_app.stems.kind import NAME as SEPARATION

_DESCRIPTION = """
1. `POST /separate` with the song as the multipart field `file`, or with its `url` as
   JSON. The response has a `job_id`.
2. Poll `GET /job/{job_id}` every 2 seconds until `status` is `completed`. Or add
   `?wait=30`, which returns as soon as the job is over, or stream
   `/job/{job_id}/events`.
3. `GET` the `download_url` of each stem.
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
    """Return the part that uses `services`; create their working directory."""
    services.arrivals.working_dir.mkdir(parents=True, exist_ok=True)
    return ApiPart(
        name="stems",
        # Clients read the configuration before they have a song: it needs no tenant.
        public_routers=(configuration.router,),
        routers=(
            jobs.router,
            events.router,
            stems.router,
            zipped.router,
            mixes.router,
            reports.router,
            uploads.router,
            analyze.router,
            analysis_jobs.router,
        ),
        reading_routers=(mixes.making_router,),
        state={
            "stems": services,
            "stems_intake": Intake(services.arrivals),
            "stems_derived": Derived(services),
            "stems_checksums": Checksums(services.storage),
            "stems_watch": JobWatch(services.jobs),
            "stems_analysis_watch": JobWatch(services.analysis_jobs),
        },
        background=(services.arrivals.decodes.keep_gauge,),
        health=partial(health.of, services),
        health_names=("jobs_count", "queue"),
        description=_DESCRIPTION,
        sent=webhook.sent,
        examples=_EXAMPLES,
        examples_dir=Path(__file__).parent / "examples",
        kinds=(SEPARATION, ANALYSIS),
    )
