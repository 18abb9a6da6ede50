#!/usr/bin/env python3
"""Deploy the checkout that contains this folder to a Docker Space of Hugging Face.

    HF_TOKEN=… python scripts/hf_space_deploy.py --space-id OWNER/NAME

This file needs only Python 3.10 and the package huggingface_hub, so a copy of it works
in the repository of a front end too. docs/operations/space.md describes its use.
"""

from __future__ import annotations

import argparse
import codecs
import json
import os
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# The exit statuses, with 0 for success.
NO_FILE = 1
USAGE_ERROR = 2
NO_SPACE = 3
NO_UPLOAD = 4

LIBRARY = "huggingface_hub>=2.4,<3"
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN")
DEFAULT_ORIGINS = "http://localhost:5173"
# How long the Hub may stay silent. Without a limit, the script could hang.
TIMEOUT_SECONDS = 120.0

# Not resolved: a link to this file belongs to the checkout that contains the link.
ROOT = Path(os.path.abspath(__file__)).parents[1]
# What an image with `app.py` is built from, besides its Dockerfile.
APP_SOURCES: tuple[str, ...] = ("app.py", "requirements.txt", "backend")
# The Hub writes this file when it creates a Space: it contains the Space's settings.
SPACE_README = "README.md"

# Never uploaded, whatever the Dockerfile copies. The syntax is that of .dockerignore.
NEVER_UPLOADED = """
data
**/.git
**/.venv
**/__pycache__
**/node_modules
**/.env
**/.env.*
**/.aws
**/.ssh
**/.netrc
**/.npmrc
**/.pypirc
**/id_rsa*
**/id_ed25519*
**/*.key
**/*.pem
**/*.p12
**/*.pfx
"""


class Failed(Exception):
    """A reason to stop: the exit status and a message for the user."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Plan:
    """What a deployment sends and writes."""

    space_id: str
    root: Path
    files: tuple[str, ...]
    # By name. They are not part of the repr, which could reach a log.
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        """The URL at which the Space answers.

        The Hub replaces what host names don't allow by hyphens.
        """
        name = re.sub(r"[/._]", "-", self.space_id.lower())
        return f"https://{name}.hf.space"

    @property
    def dotenv(self) -> Path:
        """The front end's settings."""
        return self.root / ".env.local"

    @property
    def dotenv_line(self) -> str:
        """The front end's setting that names the Space."""
        return f"VITE_CLOUD_ENGINE_URL={self.url}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = parse(arguments)
    try:
        token = find_token(options.token)
        if options.stage:
            print(stage(connect(token), options.space_id))
            return 0
        plan = planned(options.space_id, options.origins, token)
        if options.dry_run:
            describe(plan)
        else:
            deploy(plan, connect(token))
    except Failed as failure:
        print(f"hf_space_deploy: error: {failure.message}", file=sys.stderr)
        return failure.status
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; exit with status 2 if they are invalid."""
    parser = argparse.ArgumentParser(
        prog="hf_space_deploy",
        description="Deploy this checkout to a Docker Space of Hugging Face.",
        epilog="Exit status: 0 success; 1 a file or the package huggingface_hub is "
        "missing, or a file can't be read or written; 2 no token, or invalid options; "
        "3 the Space was not created, or its stage is unknown; 4 the upload failed.",
    )
    parser.add_argument(
        "--space-id", type=_space_id, required=True, metavar="OWNER/NAME"
    )
    parser.add_argument(
        "--origins",
        default="",
        metavar="LIST",
        help="origins of the web pages that may call the Space, comma-separated "
        f"(default: {DEFAULT_ORIGINS})",
    )
    parser.add_argument(
        "--token",
        default="",
        help="token with write access (default: the first of the environment "
        f"variables {' and '.join(TOKEN_VARIABLES)} that is set)",
    )
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument(
        "--dry-run",
        action="store_true",
        help="print what would be sent and written, and do nothing",
    )
    modes.add_argument(
        "--stage",
        action="store_true",
        help="print the stage of the Space, such as RUNNING, and do nothing else",
    )
    return parser.parse_args(arguments)


def _space_id(value: str) -> str:
    """Return a valid id; the Hub's own rules, so that nothing is sent for another."""
    part = r"\w(?:[\w.-]{0,94}\w)?"
    is_valid = re.fullmatch(f"{part}/{part}", value, re.ASCII)
    if not is_valid or re.search(r"--|\.\.|\.git$", value):
        raise argparse.ArgumentTypeError(
            f"{value!r} is not the id of a Space. It must be OWNER/NAME, such as "
            "me/stems: letters, digits, '-', '_' and '.', without '--' and '..', and "
            "not '-' or '.' at an end, nor '.git'."
        )
    return value


def find_token(given: str) -> str:
    """Return the given token or that of the environment; empty if there is none."""
    found = (given, *(os.environ.get(name, "") for name in TOKEN_VARIABLES))
    # Files and pipes leave a line break at its end.
    token = next(filter(None, map(str.strip, found)), "")
    # Errors of HTTP libraries show headers that they can't send.
    if not re.fullmatch(r"[!-~]*", token):
        raise Failed(
            USAGE_ERROR,
            "The token contains a space or a character that is not ASCII. Copy it "
            "again from https://huggingface.co/settings/tokens.",
        )
    return token


def planned(space_id: str, origins: str, token: str) -> Plan:
    """Return what to deploy from ROOT; send nothing."""
    if not token:
        raise Failed(
            USAGE_ERROR,
            f"There is no token. Set {TOKEN_VARIABLES[0]}, or pass --token. Create one "
            "with write access on https://huggingface.co/settings/tokens.",
        )
    secrets = {
        "ALLOW_ORIGINS": origins or DEFAULT_ORIGINS,
        "HUGGINGFACEHUB_API_TOKEN": token,
    }
    return Plan(space_id, ROOT, needed_files(ROOT), secrets)


def describe(plan: Plan) -> None:
    """Print what a deployment would send and write."""
    print(f"Space: {plan.space_id}, which is created if it is missing")
    print(f"Files: {_summary(plan)}")
    for name in plan.files:
        print(f"  {name}")
    print(f"Secret: ALLOW_ORIGINS={plan.secrets['ALLOW_ORIGINS']}")
    print("Secret: HUGGINGFACEHUB_API_TOKEN, the token")
    print(f"{plan.dotenv}: {plan.dotenv_line}")
    print("Dry run: nothing was sent or written.")


def _summary(plan: Plan) -> str:
    size = sum((plan.root / name).stat().st_size for name in plan.files)
    return f"{len(plan.files)} files, {size / 1e6:.2f} MB"


# What the image is built from.


def needed_files(root: Path) -> tuple[str, ...]:
    """Return the files that the image of a checkout is built from, by their paths.

    A checkout with `app.py` or `backend/` needs APP_SOURCES, any other what its
    Dockerfile copies and .dockerignore does not exclude.
    """
    dockerfile = root / "Dockerfile"
    if not dockerfile.is_file():
        raise Failed(NO_FILE, f"{dockerfile} is missing.")
    if any((root / name).exists() for name in ("app.py", "backend")):
        sources, ignored = APP_SOURCES, ""
    else:
        sources = tuple(copied(_text(dockerfile)))
        ignore_file = root / ".dockerignore"
        ignored = _text(ignore_file) if ignore_file.exists() else ""
    excluded = Patterns.parse(ignored)
    files = [name for name in _uploadable(root) if not excluded.match(name)]
    found = {"Dockerfile"}
    for source in sources:
        named = set(filter(Patterns.parse(source).match, files))
        if not named:
            raise Failed(
                NO_FILE,
                f"{root / source} is missing, or all of it is excluded from uploads.",
            )
        found |= named
    return tuple(sorted(found - {SPACE_README}))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise Failed(NO_FILE, f"{path} can't be read: {error}.") from error


def _uploadable(root: Path) -> Iterator[str]:
    """Yield the files of a checkout that may be uploaded, also those behind links."""
    never = Patterns.parse(NEVER_UPLOADED)
    top = root.resolve()
    for folder, folders, names in os.walk(top):
        inside = Path(folder).relative_to(top)
        folders[:] = [
            each for each in folders if not never.match((inside / each).as_posix())
        ]
        for name in names:
            target = Path(folder, name).resolve()
            if not target.is_file() or not target.is_relative_to(top):
                continue
            # A link must not publish what its target's own name keeps back.
            paths = [
                path.as_posix() for path in (inside / name, target.relative_to(top))
            ]
            if not any(map(never.match, paths)):
                yield paths[0]


@dataclass(frozen=True)
class Patterns:
    """Patterns of a .dockerignore, or of COPY; the last one that matches decides.

    The rules: https://docs.docker.com/build/concepts/context/#dockerignore-files
    """

    rules: tuple[tuple[re.Pattern[str], bool], ...]

    @classmethod
    def parse(cls, text: str) -> Patterns:
        """Read one pattern a line; `!` in front makes an exception."""
        lines = (line.strip() for line in text.splitlines() if line[:1] != "#")
        return cls(
            tuple(
                (_expression(line.removeprefix("!").strip()), line[0] != "!")
                for line in filter(None, lines)
            )
        )

    def match(self, path: str) -> bool:
        """Return whether the patterns name a file, or a folder that contains it."""
        fitting = [is_named for rule, is_named in self.rules if rule.fullmatch(path)]
        return bool(fitting) and fitting[-1]


_PARTS_OF_PATTERN = re.compile(r"\*\*/?|\[[^]]+\]|\\?.", re.DOTALL)


def _expression(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern: `*` stops at `/`, `**` does not."""
    # Of the root, all.
    inner = posixpath.normpath(f"/{pattern}").lstrip("/") or "**"

    def translated(found: re.Match[str]) -> str:
        part = found[0]
        if part.startswith("**"):
            return ".*" if found.end() == len(inner) else "(?:.*/)?"
        if part in ("*", "?"):
            return "[^/]*" if part == "*" else "[^/]"
        # Both write classes of characters alike.
        return part if part[0] == "[" and part[1:] else re.escape(part[-1])

    # What names a folder names all that is in it.
    expression = _PARTS_OF_PATTERN.sub(translated, inner) + "(?:/.*)?"
    return re.compile(expression, re.DOTALL)


# The Dockerfile.

_HEREDOC = re.compile(r"(?<!<)<<-?([\"']?)([A-Za-z_]\w*)\1")
_MOUNT = re.compile(r"--mount=(\S+)")


def copied(dockerfile: str) -> list[str]:
    """Return what the instructions of a Dockerfile read from its folder."""
    sources: list[str] = []
    for instruction in _instructions(dockerfile):
        keyword, _, rest = instruction.replace("\t", " ").partition(" ")
        if keyword.upper() in ("COPY", "ADD"):
            sources += _copy_sources(rest.strip())
        elif keyword.upper() == "RUN":
            sources += _mount_sources(rest)
    for source in sources:
        if "$" in source:
            raise Failed(
                NO_FILE,
                f"The Dockerfile copies {source}, whose value is only known during a "
                "build. Write the path without a variable.",
            )
    return sources


def _instructions(dockerfile: str) -> Iterator[str]:
    """Yield each instruction as one line, without comments and here-documents."""
    parts: list[str] = []
    lines = iter(dockerfile.splitlines())
    for line in map(str.strip, lines):
        if not line or line.startswith("#"):
            continue
        parts.append(line.removesuffix("\\"))
        if line.endswith("\\"):
            continue
        instruction = " ".join(parts)
        parts = []
        yield instruction
        for heredoc in _HEREDOC.finditer(instruction):
            # Consumes the body, up to the line that ends it.
            any(body.strip() == heredoc[2] for body in lines)


def _copy_sources(rest: str) -> list[str]:
    """Return the sources of COPY or ADD that are files of the build context."""
    flags = []
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        flags.append(flag)
        rest = rest.strip()
    if any(flag.startswith("--from=") for flag in flags):
        return []
    try:
        words = json.loads(rest)
    except ValueError:
        words = rest.split()
    return [
        word
        for word in words[:-1]
        if not word.startswith(("<<", "git@")) and "://" not in word
    ]


def _mount_sources(rest: str) -> Iterator[str]:
    """Yield what RUN mounts from the build context."""
    for mount in _MOUNT.findall(rest):
        options = dict(each.partition("=")[::2] for each in mount.split(","))
        if options.get("type", "bind") == "bind" and "from" not in options:
            yield options.get("source") or options.get("src") or "."


# The Hub.


def connect(token: str) -> HfApi:
    """Return a client of the Hub, whose address is HF_ENDPOINT if that is set."""
    try:
        import httpx2
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise Failed(
            NO_FILE,
            f"The package {error.name} is missing. Run: "
            f'{sys.executable} -m pip install "{LIBRARY}"',
        ) from error
    # The library's own client waits without limit, and logs secrets if HF_DEBUG is set.
    huggingface_hub.set_client_factory(
        lambda: httpx2.Client(follow_redirects=True, timeout=TIMEOUT_SECONDS)
    )
    # Without a token no one, and not whose token the library has stored.
    return huggingface_hub.HfApi(token=token or False)


def deploy(plan: Plan, hub: HfApi) -> None:
    """Create the Space if it is missing, upload the files, and set the rest."""
    create_space(hub, plan)
    upload(hub, plan)
    for name in plan.secrets:
        set_secret(hub, plan, name)
    write_dotenv(plan)
    try:
        print(f"Stage: {stage(hub, plan.space_id)}")
    except Failed as failure:
        _warn(failure.message)


def create_space(hub: HfApi, plan: Plan) -> None:
    """Create the Space, unless it exists."""
    try:
        url = hub.create_repo(
            plan.space_id, repo_type="space", space_sdk="docker", exist_ok=True
        )
    # The library raises errors of its own, of HTTP, of sockets, and ValueError.
    except Exception as error:
        raise Failed(
            NO_SPACE,
            f"The Space {plan.space_id} was not created: {_reason(hub, error)}",
        ) from None
    print(f"Space: {url}")


def upload(hub: HfApi, plan: Plan) -> None:
    """Upload the files in one commit, so that no Space is built from some of them."""
    from huggingface_hub import CommitOperationAdd

    try:
        commit = hub.create_commit(
            plan.space_id,
            [CommitOperationAdd(name, plan.root / name) for name in plan.files],
            commit_message="Deploy",
            repo_type="space",
        )
    except Exception as error:
        raise Failed(NO_UPLOAD, f"The upload failed: {_reason(hub, error)}") from None
    print(f"Files: {_summary(plan)}, {commit.commit_url}")


def set_secret(hub: HfApi, plan: Plan, name: str) -> None:
    """Set a secret of the Space; a refusal is only a warning."""
    try:
        hub.add_space_secret(plan.space_id, name, plan.secrets[name])
    except Exception as error:
        _warn(
            f"The secret {name} was not set: {_reason(hub, error)} Set it on "
            f"{hub.endpoint}/spaces/{plan.space_id}/settings."
        )
    else:
        print(f"Secret: {name} is set")


def stage(hub: HfApi, space_id: str) -> str:
    """Return the stage of a Space, such as BUILDING, RUNNING or RUNTIME_ERROR."""
    try:
        return str(hub.get_space_runtime(space_id).raw["stage"])
    except Exception as error:
        raise Failed(
            NO_SPACE, f"The stage of {space_id} is unknown: {_reason(hub, error)}"
        ) from None


def _reason(hub: HfApi, error: BaseException) -> str:
    """Return the message of an error as one sentence, without the token."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(hub.token, str):
        text = text.replace(hub.token, "***")
    # The error of an upload names the file, and its cause says why.
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        return f"{text}: {_reason(hub, error.__cause__)}"
    return f"{text}."


def _warn(message: str) -> None:
    print(f"hf_space_deploy: warning: {message}", file=sys.stderr)


# The front end's settings.

_DOTENV_LINE = re.compile(
    rb"^(\xef\xbb\xbf)?[ \t]*VITE_CLOUD_ENGINE_URL[ \t]*=[^\r\n]*", re.M
)


def write_dotenv(plan: Plan) -> None:
    """Write the URL of the Space to the front end's settings."""
    path, line = plan.dotenv, plan.dotenv_line
    try:
        content = path.read_bytes() if path.exists() else b""
        path.write_bytes(with_line(content, line.encode()))
    except OSError as error:
        raise Failed(
            NO_FILE,
            f"The Space is deployed, but {path} can't be written: {error.strerror}. "
            f"Add this line to it: {line}",
        ) from error
    print(f"{path}: {line}")


def with_line(content: bytes, line: bytes) -> bytes:
    """Put a line over the first that sets VITE_CLOUD_ENGINE_URL, else at the end.

    All other bytes stay, with a byte order mark and the line ends.
    """
    replaced, count = _DOTENV_LINE.subn(
        lambda found: (found[1] or b"") + line, content, count=1
    )
    if count:
        return replaced
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    # Only a byte order mark: nothing to end.
    is_ended = content.endswith(b"\n") or content in (b"", codecs.BOM_UTF8)
    return content + (b"" if is_ended else newline) + line + newline


if __name__ == "__main__":
    sys.exit(main())
