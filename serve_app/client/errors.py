"""The errors that a client raises."""

from serve_app.errors import AppError, Unavailable


class ServerUnreachable(Unavailable):
    """No attempt got a response from the server, or no download was complete."""

    code = "server_unreachable"


class Refused(AppError):
    """The server responded with an error, or with something unexpected.

    `http_status` is the status of the response. `server_code` is the stable code of the
    error, such as `audio_too_long`, or None if the server sent none.
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
    """The server accepted the song but could not separate it; `detail` says why."""

    code = "job_failed"


class WaitTimedOut(AppError):
    """The job was not completed before the caller's timeout; it continues."""

    code = "wait_timed_out"
