"""The API key with which commands call a server."""

import os
from collections.abc import Mapping

from serve_app.errors import InvalidInput

# Not an option: other users of the machine can read the command lines of processes.
VARIABLE = "STEMSERVE_API_KEY"


def headers() -> Mapping[str, str]:
    """Return the headers that carry the key of the environment, if there is one.

    Raises InvalidInput for what can't be a key.
    """
    key = os.environ.get(VARIABLE, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidInput(
            f"{VARIABLE} has characters that no API key has. Copy the key again, "
            "without quotation marks, spaces and line breaks."
        )
    # A user name in the server's URL is sent as `Authorization`.
    return {"X-API-Key": key} if key else {}
