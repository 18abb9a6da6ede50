"""Carry out the instructions of a Dockerfile in directories, without an engine.

Differences from an engine: every stage starts from the same base, whatever its FROM
names; the files of a stage are in one directory; steps use the network and the
certificates of this machine; COPY links files of earlier stages.
"""

import os
import posixpath
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools.image import dockerfile, files
from tools.image.dockerfile import Dockerfile, Instruction

ROOT_USER = "0:0"
_ENTER = Path(__file__).with_name("enter.sh")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# `enter.sh` writes them there.
_CERTIFICATES = "/dev/certificates.pem"
_WITHOUT_EFFECT = ("VOLUME", "EXPOSE", "LABEL")


@dataclass(frozen=True)
class Config:
    """What an image says of its containers."""

    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    directory: str = "/"
    user: str = ROOT_USER
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """An instruction, and the size of the files that it added or changed."""

    instruction: str
    size_bytes: int


@dataclass(frozen=True)
class Image:
    """The result of a stage."""

    root: Path
    config: Config
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Place:
    """The directories of a build.

    `context` has the files that COPY reads, `base` those of the base image. `work` gets
    the stages, and keeps the contents of cache mounts for the next build.
    """

    context: Path
    base: Path
    work: Path


def build(source: Dockerfile, place: Place, build_args: Mapping[str, str]) -> Image:
    """Carry out all stages; return the last one.

    Raises CalledProcessError if a command fails, and ValueError for an instruction that
    is not supported.
    """
    given = {**source.arguments, **build_args}
    built: dict[str, Image] = {}
    for number, stage in enumerate(source.stages):
        root = place.work / f"stage{number}"
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "--archive", place.base, root], check=True)
        working = _Stage(root, place, given, built)
        for step in stage.steps:
            working.carry_out(step)
        image = working.image()
        built[stage.name] = image
    return image


def entering(root: Path, config: Config, *options: str) -> list[str]:
    """Return the start of a command that runs in `root` with the settings of `config`.

    `options` are those of `enter.sh`.
    """
    isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    variables = [f"{name}={value}" for name, value in config.environment.items()]
    enter = ["bash", str(_ENTER), *options, str(root)]
    environment = ["env", "--ignore-environment", f"--chdir={config.directory}"]
    return [*isolated, *enter, *environment, *variables]


class _Stage:
    """A stage while it is built."""

    def __init__(
        self,
        root: Path,
        place: Place,
        given: Mapping[str, str],
        earlier: Mapping[str, Image],
    ) -> None:
        self._root = root
        self._place = place
        self._given = given
        self._earlier = earlier
        self._arguments: dict[str, str] = {}
        self._config = Config()
        self._layers = [Layer("base", files.added_bytes({}, files.snapshot(root)))]

    def image(self) -> Image:
        return Image(self._root, self._config, tuple(self._layers))

    def carry_out(self, step: Instruction) -> None:
        print(step.name, step.value, flush=True)
        if step.name in ("RUN", "COPY"):
            before = files.snapshot(self._root)
            self._run(step) if step.name == "RUN" else self._copy(step)
            size = files.added_bytes(before, files.snapshot(self._root))
            self._layers.append(Layer(f"{step.name} {step.value}", size))
        elif step.name == "ARG":
            name, default = dockerfile.argument(step.value)
            self._arguments[name] = self._given.get(name, default or "")
        elif step.name not in _WITHOUT_EFFECT:
            self._config = self._configured(step.name, step.value)

    def _configured(self, name: str, value: str) -> Config:
        """Return the configuration after an instruction that changes it."""
        config, variables = self._config, self._variables()
        expanded = dockerfile.expand(value, variables)
        match name:
            case "ENV":
                added = dockerfile.assignments(value, variables)
                return replace(config, environment={**config.environment, **added})
            case "WORKDIR":
                directory = posixpath.join(config.directory, expanded)
                self._inside(directory).mkdir(parents=True, exist_ok=True)
                return replace(config, directory=directory)
            case "USER":
                return replace(config, user=expanded)
            case "ENTRYPOINT":
                return replace(config, entrypoint=dockerfile.command(value))
            case "CMD":
                return replace(config, command=dockerfile.command(value))
            case "HEALTHCHECK":
                check = value.partition("CMD ")[2]
                return replace(config, healthcheck=dockerfile.command(check))
        raise ValueError(f"{name} is not supported here.")

    def _variables(self) -> dict[str, str]:
        return {**self._arguments, **self._config.environment}

    def _inside(self, path: str) -> Path:
        """Return where a path of the stage is on this machine."""
        return self._root / posixpath.join(self._config.directory, path).lstrip("/")

    def _copy(self, step: Instruction) -> None:
        *sources, target = step.value.split()
        stage = step.flags.get("from")
        origin = self._place.context if stage is None else self._earlier[stage].root
        place = self._inside(target)
        for source in sources:
            path = origin / source.lstrip("/")
            if path.is_dir():
                _copy_directory(path, place, is_linked=stage is not None)
            else:
                file = place / path.name if target.endswith("/") else place
                file.parent.mkdir(parents=True, exist_ok=True)
                _copy_file(str(path), str(file))

    def _run(self, step: Instruction) -> None:
        variables = {"HOME": "/root", **self._variables()}
        if "SSL_CERT_FILE" in os.environ:
            variables |= {"SSL_CERT_FILE": _CERTIFICATES, "PIP_CERT": _CERTIFICATES}
        config = replace(self._config, environment=variables)
        user = [] if config.user == ROOT_USER else ["-u", config.user]
        with self._cache_mounted(step.flags.get("mount", "")):
            start = entering(self._root, config, *user)
            subprocess.run([*start, "/bin/sh", "-c", step.value], check=True)

    @contextmanager
    def _cache_mounted(self, mount: str) -> Iterator[None]:
        """Move a cache to the target of a cache mount, and back.

        Not mounted: uv links files of its cache only within a file system.
        """
        if not mount:
            yield
            return
        target = self._inside(mount.partition("target=")[2])
        kept = self._place.work / "cache"
        kept.mkdir(exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        kept.rename(target)
        try:
            yield
        finally:
            target.rename(kept)


def _copy_directory(source: Path, target: Path, *, is_linked: bool) -> None:
    """Copy what is in a directory, as COPY does."""
    shutil.copytree(
        source,
        target,
        symlinks=True,
        ignore=None if is_linked else shutil.ignore_patterns("__pycache__"),
        copy_function=_link_file if is_linked else _copy_file,
        dirs_exist_ok=True,
    )


def _copy_file(source: str, target: str) -> None:
    """Replace a file, so that files linked to it stay unchanged."""
    Path(target).unlink(missing_ok=True)
    shutil.copy2(source, target)


def _link_file(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    os.link(source, target)
