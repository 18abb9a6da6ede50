"""The Dockerfile agrees with the locks, the code and `.dockerignore`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deployments import gate, local_ray, router_loop
from tools.image import dockerfile
from tools.image.dockerfile import Instruction

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
BUILD, FINAL = dockerfile.read(TEXT, {}).stages


def last(name: str) -> Instruction:
    return [step for step in FINAL.steps if step.name == name][-1]


def environment() -> dict[str, str]:
    return dockerfile.assignments(last("ENV").value, {})


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout


def test_the_context_is_what_the_dockerfile_copies() -> None:
    copied = {
        source
        for step in (*BUILD.steps, *FINAL.steps)
        if step.name == "COPY" and "from" not in step.flags
        for source in step.value.split()[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert "*" in lines
    assert all((ROOT / name).exists() for name in copied)


def test_the_user_has_no_privileges_and_a_number() -> None:
    assert last("USER").value == "1000:1000"


def test_the_environment_is_that_of_a_local_server() -> None:
    common = {
        *("FORWARDED_ALLOW_IPS", "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS"),
        *("RAY_USAGE_STATS_ENABLED", "GLIBC_TUNABLES", gate.VARIABLE),
        router_loop.VARIABLE,
    }
    assert {name: environment()[name] for name in common} == {
        name: local_ray._ENVIRONMENT[name] for name in common
    }


@pytest.mark.parametrize(
    ("port", "used"), [(None, "7860"), ("", "7860"), ("9000", "9000")]
)
def test_port_sets_the_port_of_the_server_and_of_its_health_check(
    port: str | None, used: str, tmp_path: Path
) -> None:
    for name in ("stemserve", "wget"):
        program = tmp_path / name
        program.write_text('#!/bin/sh\necho "$@"\n')
        program.chmod(0o755)
    variables = {**environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    if port is not None:
        variables["PORT"] = port
    check = last("HEALTHCHECK").value.partition("CMD ")[2]
    for line, expected in (
        (last("CMD").value, rf"--port {used}$"),
        (check, rf"127\.0\.0\.1:{used}/"),
    ):
        words = dockerfile.command(line)
        output = subprocess.run(
            words, env=variables, check=True, capture_output=True, text=True
        ).stdout
        assert re.search(expected, output), output


def test_baked_weights_are_the_mirror() -> None:
    (env,) = [step for step in FINAL.steps if step.name == "ENV"]
    name = "STEMSERVE_WEIGHTS_MIRROR"
    assert dockerfile.assignments(env.value, {"WEIGHTS": ""})[name] == ""
    baked = dockerfile.assignments(env.value, {"WEIGHTS": "htdemucs"})
    assert baked[name] == "/opt/weights"


def test_what_a_cpu_does_not_need_is_in_the_lock() -> None:
    removed = re.search(r"printf '%s\\n' ([^>]+)>excluded.txt", TEXT)
    assert removed is not None
    names = [word for word in removed[1].split() if word != "\\"]
    lock = (ROOT / "requirements.lock").read_text()
    assert names
    assert all(f"\n{name}==" in lock for name in names)
