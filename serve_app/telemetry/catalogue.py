"""All metrics of the service.

Those in `SCRAPED` are read at each request of `GET /metrics`: every Api gives the same
values, except for its own disks. Those in `COUNTED` are recorded by the process in
which something happens, and Ray exports them: `ray_` comes before their names, and
counters end in `_total`.
"""

from serve_app.telemetry.metric import counter, gauge, histogram

BUILD_INFO = gauge("stemserve_build_info", "Always 1.", "version")
DATABASE_UP = gauge(
    "stemserve_database_up",
    "1 if the database responds. If it is 0, no other value from it is present.",
)
STORAGE_UP = gauge("stemserve_storage_up", "1 if the file storage responds.")
JOBS = gauge(
    "stemserve_jobs",
    "Jobs in the database. The reason is the error code of failed ones, else empty.",
    *("system", "kind", "state", "reason"),
)
QUEUE_OLDEST_SECONDS = gauge(
    "stemserve_queue_oldest_seconds",
    "For how long the oldest queued job has been ready to run; 0 if there is none. A "
    "retry is ready when its delay is over.",
    *("system", "kind"),
)
QUEUE_AUDIO_SECONDS = gauge(
    "stemserve_queue_audio_seconds", "Audio of queued jobs.", "system", "kind"
)
RUNNING_LEASE_EXPIRED = gauge(
    "stemserve_running_lease_expired",
    "Running jobs with an expired lease: no dispatcher works on them.",
    *("system", "kind"),
)
OUTBOX_MESSAGES = gauge(
    "stemserve_outbox_messages",
    "Messages that wait to be sent or retried, and dead ones, which are not retried.",
    *("channel", "state"),
)
OUTBOX_OLDEST_SECONDS = gauge(
    "stemserve_outbox_oldest_seconds",
    "For how long the oldest due message has been due; 0 if none is due. A message "
    "that waits for a retry is not due.",
    "channel",
)
STORED_BYTES = gauge(
    "stemserve_stored_bytes",
    "Files of jobs that have not expired; of unfinished jobs, an upper estimate.",
    "kind",
)
DISK_FREE_BYTES = gauge(
    "stemserve_disk_free_bytes",
    "Free space on the disk of a directory of this Api's machine: data or tmp.",
    "place",
)
DISK_SIZE_BYTES = gauge(
    "stemserve_disk_size_bytes", "Size of the disk of a directory.", "place"
)
TENANT_AUDIO_SECONDS_TODAY = gauge(
    "stemserve_tenant_audio_seconds_today",
    "Audio of the jobs that were sent today (UTC) and succeeded, of the five tenants "
    "with the most, by rank.",
    "rank",
)
TENANTS_TODAY = gauge(
    "stemserve_tenants_today", "Tenants with jobs of today (UTC) that succeeded."
)

SCRAPED = (
    *(BUILD_INFO, DATABASE_UP, STORAGE_UP, JOBS),
    *(QUEUE_OLDEST_SECONDS, QUEUE_AUDIO_SECONDS, RUNNING_LEASE_EXPIRED),
    *(OUTBOX_MESSAGES, OUTBOX_OLDEST_SECONDS),
    *(STORED_BYTES, DISK_FREE_BYTES, DISK_SIZE_BYTES),
    *(TENANT_AUDIO_SECONDS_TODAY, TENANTS_TODAY),
)

STAGE_SECONDS = histogram(
    "stemserve_stage_seconds",
    "Duration of a stage of jobs that succeeded.",
    *("system", "stage"),
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280),
)
AUDIO_SECONDS = counter(
    "stemserve_audio_seconds",
    "Audio of jobs that succeeded, not counting cached results.",
    "system",
)
ATTEMPTS = counter(
    "stemserve_attempts",
    "Ended attempts: succeeded, failed, retried, lost (the lease) or cancelled. The "
    "reason is an error code or empty.",
    *("kind", "outcome", "reason"),
)
BATCH_FILL_RATIO = histogram(
    "stemserve_batch_fill_ratio",
    "Windows in a batch, as a share of the most that fit.",
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
)
BATCH_SECONDS = histogram(
    "stemserve_batch_seconds",
    "Time that the device took for a batch.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
DEVICE_MEMORY_BYTES = gauge(
    "stemserve_device_memory_bytes",
    "Memory of a CUDA device: allocated and reserved by the process, and its size.",
    *("device", "what"),
)
DECODES = counter(
    "stemserve_decodes",
    "Songs decoded at their arrival. The outcome is ok or an error code.",
    "outcome",
)
DECODES_RUNNING = gauge(
    "stemserve_decodes_running", "Songs that are decoded now at their arrival."
)
DECODE_WAIT_SECONDS = histogram(
    "stemserve_decode_wait_seconds",
    "Wait of a song that has arrived for its decoding to start.",
    buckets=(0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
WEBHOOK_DELIVERIES = counter(
    "stemserve_webhook_deliveries",
    "Attempts to send a webhook: delivered, retried, or dead after the last one.",
    "outcome",
)
DATABASE_ERRORS = counter(
    "stemserve_database_errors",
    "Transactions that failed because the database is unavailable.",
    "reason",
)
STORAGE_ERRORS = counter(
    "stemserve_storage_errors",
    "Calls that failed because the file storage is unavailable.",
    "operation",
)
HTTP_REQUESTS = counter(
    "stemserve_http_requests",
    "Requests by the template of their path and the class of their status, such as "
    "2xx; none if the client left before the response.",
    *("route", "method", "status"),
)
HTTP_SECONDS = histogram(
    "stemserve_http_seconds",
    "Time until the end of the response.",
    "route",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
SPANS_DROPPED = counter(
    "stemserve_spans_dropped",
    "Spans of traces that were not exported: queue_full if too many waited for the "
    "collector, or export_failed.",
    "reason",
)

COUNTED = (
    *(STAGE_SECONDS, AUDIO_SECONDS, ATTEMPTS),
    *(BATCH_FILL_RATIO, BATCH_SECONDS, DEVICE_MEMORY_BYTES),
    *(DECODES, DECODES_RUNNING, DECODE_WAIT_SECONDS),
    *(WEBHOOK_DELIVERIES, DATABASE_ERRORS, STORAGE_ERRORS),
    *(HTTP_REQUESTS, HTTP_SECONDS, SPANS_DROPPED),
)
