"""What can go wrong between a client and its server."""

from serve_app.errors import AppError, Unavailable


class ServerUnreachable(Unavailable):
    """Nothing answered, however often it was asked."""

    code = "server_unreachable"


class Refused(AppError):
    """The server answered with an error; `detail` is its own, `http_status` too."""

    code = "refused"

    def __init__(self, detail: str, http_status: int) -> None:
        super().__init__(detail)
        self.args = (detail, http_status)
        self.http_status = http_status


class JobFailed(AppError):
    """The server took the song and could not make its stems."""

    code = "job_failed"
