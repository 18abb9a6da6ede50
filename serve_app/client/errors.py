"""What can go wrong between a client and its server."""

from serve_app.errors import AppError, Unavailable


class ServerUnreachable(Unavailable):
    """The server did not answer, or not with whole files, as often as it was tried."""

    code = "server_unreachable"


class Refused(AppError):
    """The server answered with an error: its `detail`, `http_status`, `server_code`.

    `server_code` is the stable word for the error, such as `audio_too_long`, if the
    server gave one.
    """

    code = "refused"

    def __init__(
        self, detail: str, http_status: int, server_code: str | None = None
    ) -> None:
        super().__init__(detail)
        self.args = (detail, http_status, server_code)
        self.http_status = http_status
        self.server_code = server_code


class JobFailed(AppError):
    """The server took the song and could not make its stems; `detail` says why."""

    code = "job_failed"


class WaitTimedOut(AppError):
    """The job was not completed in the time that the caller allowed; it goes on."""

    code = "wait_timed_out"
