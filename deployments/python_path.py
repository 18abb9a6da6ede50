"""The Python interpreter of Ray's workers, and their module path."""

import shlex
import sys

from ray.job_config import JobConfig


class InstalledOnly(JobConfig):  # type: ignore[misc]  # Ray's types are not read
    """Keeps the current directory out of the workers' module path.

    Ray puts it first, so that they would import an av.py or a folder `deployments` of
    the user's instead of the installed modules.
    """

    def _serialize(self) -> bytes:
        self._py_driver_sys_path: list[str] = []
        serialized: bytes = super()._serialize()
        return serialized


def runtime_env() -> dict[str, str]:
    """Return the `runtime_env` for `ray.init` that supports any path of this Python.

    Ray puts the path unquoted into a bash command, where a space would split it.
    """
    quoted = shlex.quote(sys.executable)
    return {} if quoted == sys.executable else {"py_executable": quoted}
