"""Read a Dockerfile: its stages, their instructions, and the variables in them."""

import io
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dockerfile_parse import DockerfileParser

_FLAG = re.compile(r"--([a-z-]+)=(\S+)\s+")
_VARIABLE = re.compile(
    r"\$(?:(?P<bare>\w+)|\{(?P<name>\w+)(?::(?P<if>[-+])(?P<word>[^}]*))?\})"
)


@dataclass(frozen=True)
class Instruction:
    """An instruction: its name in capitals, its `--name=value` flags, and the rest."""

    name: str
    flags: Mapping[str, str]
    value: str


@dataclass(frozen=True)
class Stage:
    """A stage of a build: the image or stage that it starts from, and its steps."""

    name: str
    base: str
    steps: tuple[Instruction, ...] = ()


@dataclass(frozen=True)
class Dockerfile:
    """The stages of a Dockerfile, and the values of the ARGs before the first one."""

    arguments: Mapping[str, str]
    stages: tuple[Stage, ...]


def read(text: str, build_args: Mapping[str, str]) -> Dockerfile:
    """Return what a Dockerfile says; `build_args` replace the defaults of its ARGs.

    Raises ValueError for an instruction before the first FROM that is not an ARG.
    """
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for step in _instructions(text):
        if step.name == "FROM":
            base, _, name = step.value.partition(" AS ")
            stages.append(Stage(name.strip(), expand(base.strip(), arguments)))
        elif stages:
            stages[-1] = replace(stages[-1], steps=(*stages[-1].steps, step))
        elif step.name == "ARG":
            name, default = argument(step.value)
            arguments[name] = build_args.get(name, default or "")
        else:
            raise ValueError(f"{step.name} must not stand before the first FROM.")
    return Dockerfile(arguments, tuple(stages))


def argument(value: str) -> tuple[str, str | None]:
    """Return the name and the default of an ARG; None if it has no default."""
    name, equals, default = value.strip().partition("=")
    return name, default if equals else None


def command(value: str) -> tuple[str, ...]:
    """Return the words of a command: a JSON array, or a line for the shell."""
    if value.startswith("["):
        return tuple(str(word) for word in json.loads(value))
    return "/bin/sh", "-c", value


def assignments(value: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that an ENV sets, with `variables` replaced in them."""
    pairs = (word.partition("=") for word in shlex.split(value))
    return {name: expand(text, variables) for name, _, text in pairs}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+if set}`."""

    def value(match: re.Match[str]) -> str:
        found = variables.get(match["bare"] or match["name"], "")
        match match["if"]:
            case "-":
                return found or match["word"]
            case "+":
                return found and match["word"]
        return found

    return _VARIABLE.sub(value, text)


def _instructions(text: str) -> Iterator[Instruction]:
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()), env_replace=False)
    for each in parser.structure:
        flags: dict[str, str] = {}
        value = each["value"].strip()
        while match := _FLAG.match(value):
            flags[match[1]] = match[2]
            value = value[match.end() :]
        if each["instruction"] != "COMMENT":
            yield Instruction(each["instruction"], flags, value)
