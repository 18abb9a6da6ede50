"""Modules that a test creates, importable until its end."""

import sys
from pathlib import Path
from types import TracebackType
from typing import Self


class Modules:
    """Creates modules in a directory on Python's path."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._before = set(sys.modules)

    def write(self, name: str, text: str) -> None:
        """Create a module."""
        path = self._directory.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def __enter__(self) -> Self:
        sys.path.insert(0, str(self._directory))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.path.remove(str(self._directory))
        for name in set(sys.modules) - self._before:
            origin = getattr(sys.modules[name], "__file__", None) or ""
            if origin.startswith(str(self._directory)):
                del sys.modules[name]
