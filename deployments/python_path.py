"""Where Ray's workers find Python, and where that finds its modules."""

import shlex
import sys

from ray.job_config import JobConfig


class InstalledOnly(JobConfig):  # type: ignore[misc]  # Ray's types are not read
    """Has workers import what is installed, and nothing from the current directory.

    Ray puts that first otherwise: an av.py or a folder `deployments` of the user's
    would be taken for ours.
    """

    def _serialize(self) -> bytes:
        self._py_driver_sys_path: list[str] = []
        serialized: bytes = super()._serialize()
        return serialized


def runtime_env() -> dict[str, str]:
    """Return the `runtime_env` of `ray.init` that lets this Python lie at any path.

    Ray puts the path into a line of bash as it is, where a blank would end it.
    """
    quoted = shlex.quote(sys.executable)
    return {} if quoted == sys.executable else {"py_executable": quoted}
