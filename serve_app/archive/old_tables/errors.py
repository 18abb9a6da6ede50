"""How the old API's tables fail."""

from serve_app.errors import AppError, Unavailable

# Codes of the database for values that it can't take: "data exception", "integrity
# constraint violation", and types that don't match.
_REFUSED = ("22", "23", "42804", "428C9")
_ABOUT_TYPES = ("22P02", "42804", "428C9")
_UNIQUE_VIOLATION = "23505"
_CODE_CHARACTERS = 5


class TablesUnavailable(Unavailable):
    """The tables are unreachable, or refuse these credentials."""

    code = "old_tables_unavailable"


class RowRefused(AppError):
    """The tables don't accept a row; the message names the constraint.

    `sqlstate` is the database's code.
    """

    code, status = "row_refused", 409

    def __init__(self, detail: str, sqlstate: str = "") -> None:
        super().__init__(detail)
        self.args = (detail, sqlstate)
        self.sqlstate = sqlstate

    @property
    def is_taken(self) -> bool:
        """Whether there is such a row already."""
        return self.sqlstate == _UNIQUE_VIOLATION

    @property
    def is_about_type(self) -> bool:
        """Whether a column is of another type, or takes no value at all."""
        return self.sqlstate in _ABOUT_TYPES


def error(code: str, said: str, advice: str = "") -> RowRefused | TablesUnavailable:
    """Return the error for what the database said.

    `code` is its SQLSTATE, or another name of what happened.
    """
    said = " ".join(said.split())
    # An HTTP status may begin with the same digits, but has three of them.
    if len(code) == _CODE_CHARACTERS and code.startswith(_REFUSED):
        return RowRefused(f"The old tables refused a row ({code}): {said}", code)
    told = f"The old tables are unavailable ({code}): {said}. {advice}"
    return TablesUnavailable(told.rstrip())
