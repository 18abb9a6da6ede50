"""The API key with which commands call a server."""

import os
from collections.abc import Mapping

# Not an option: other users of the machine can read the command lines of processes.
VARIABLE = "STEMSERVE_API_KEY"


def headers() -> Mapping[str, str]:
    """Return the headers that carry the key of the environment, if there is one."""
    key = os.environ.get(VARIABLE, "").strip()
    # A user name in the server's URL is sent as `Authorization`.
    return {"X-API-Key": key} if key else {}
