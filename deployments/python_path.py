"""The path of this Python, in the form that Ray can start workers with."""

import shlex
import sys


def runtime_env() -> dict[str, str]:
    """Return the `runtime_env` of `ray.init` that lets this Python lie at any path.

    Ray puts the path into a line of bash as it is, where a blank would end it.
    """
    quoted = shlex.quote(sys.executable)
    return {} if quoted == sys.executable else {"py_executable": quoted}
