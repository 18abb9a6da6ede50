"""What the deploy script sends to the Hub, and how it ends."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hub import TOKEN, Hub
from tests.ports import free_port
from tests.unit.scripts.conftest import APP_FILES, SCRIPT, load, write

ID = "me/space"
Deploy = Callable[..., int]


@pytest.fixture
def deploy(app: Path, hub: Hub) -> Deploy:
    """Run the script in the checkout of the front end; return its exit status."""
    script = load(app)

    def run(*options: str, space_id: str = ID, token: str = TOKEN) -> int:
        arguments = ["--space-id", space_id, "--token", token, *options]
        try:
            return int(script.main(arguments))
        except SystemExit as stopped:
            return int(stopped.code or 0)

    return run


def test_a_space_is_created_and_gets_files_secrets_and_its_url(
    deploy: Deploy, hub: Hub, app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("--origins", "https://a.example, http://localhost:3000") == 0
    space = hub.spaces[ID]
    assert space.sdk == "docker"
    readme = space.files.pop("README.md")
    assert readme.startswith(b"---\n")
    assert b"sdk: docker" in readme
    assert space.files == APP_FILES
    assert space.commits == 1
    assert space.secrets == {
        "ALLOW_ORIGINS": "https://a.example, http://localhost:3000",
        "HUGGINGFACEHUB_API_TOKEN": TOKEN,
    }
    line = b"VITE_CLOUD_ENGINE_URL=https://me-space.hf.space\n"
    assert (app / ".env.local").read_bytes() == line
    assert "Stage: BUILDING" in capsys.readouterr().out


def test_each_request_is_as_the_hub_expects_it(deploy: Deploy, hub: Hub) -> None:
    assert deploy() == 0
    assert [call for call in hub.calls() if call[0] != "PUT"] == [
        ("POST", "/api/repos/create"),
        ("POST", "/api/spaces/me/space/preupload/main"),
        ("POST", "/spaces/me/space.git/info/lfs/objects/batch"),
        ("POST", "/api/spaces/me/space/commit/main"),
        ("POST", "/api/spaces/me/space/secrets"),
        ("POST", "/api/spaces/me/space/secrets"),
        ("GET", "/api/spaces/me/space/runtime"),
    ]
    for each in hub.requests:
        bearer = None if each.method == "PUT" else f"Bearer {TOKEN}"
        assert each.headers.get("authorization") == bearer
    create = hub.request("/api/repos/create")
    assert create.headers["content-type"] == "application/json"
    assert create.json == {
        "name": "space",
        "organization": "me",
        "type": "space",
        "sdk": "docker",
    }
    sizes = {name: len(content) for name, content in APP_FILES.items()}
    asked = hub.request("/preupload/main").json["files"]
    assert {each["path"]: each["size"] for each in asked} == sizes
    commit = hub.request("/commit/main")
    assert commit.headers["content-type"] == "application/x-ndjson"
    assert [each["key"] for each in commit.lines] == [
        "header",
        *("lfsFile" if name.endswith(".bin") else "file" for name in sorted(APP_FILES)),
    ]
    secrets = [each.json for each in hub.requests if each.path.endswith("/secrets")]
    assert secrets == [
        {"key": "ALLOW_ORIGINS", "value": "http://localhost:5173"},
        {"key": "HUGGINGFACEHUB_API_TOKEN", "value": TOKEN},
    ]


def test_a_space_that_exists_gets_what_has_changed(
    deploy: Deploy, hub: Hub, app: Path
) -> None:
    assert deploy() == 0
    (app / "app.py").write_bytes(b"app = 2\n")
    hub.requests.clear()
    assert deploy() == 0
    changed = [each["value"]["path"] for each in hub.request("/commit/main").lines[1:]]
    assert changed == ["app.py"]
    assert hub.spaces[ID].files["app.py"] == b"app = 2\n"


def test_a_deployment_without_changes_succeeds(deploy: Deploy, hub: Hub) -> None:
    assert deploy() == 0
    assert deploy() == 0
    assert hub.spaces[ID].commits == 1


@pytest.mark.parametrize(
    ("space_id", "url"),
    [
        ("Me/My_Space.v2", "https://me-my-space-v2.hf.space"),
        ("some-org/a", "https://some-org-a.hf.space"),
    ],
)
def test_the_url_of_a_space_is_a_host_name(
    deploy: Deploy, hub: Hub, app: Path, space_id: str, url: str
) -> None:
    assert deploy(space_id=space_id) == 0
    assert hub.spaces.keys() == {space_id}
    assert (app / ".env.local").read_text() == f"VITE_CLOUD_ENGINE_URL={url}\n"


@pytest.mark.parametrize(
    "space_id",
    [
        *("space", "me/", "/space", "a/b/c", "me/a space", "me/-a", "me/a.", "mé/a"),
        *("me/a--b", "me/a..b", "me/a.git", "me/..", "", "me/space\n", "me/a?b#c"),
        *("https://huggingface.co/spaces/me/space", f"me/{'a' * 97}"),
    ],
)
def test_an_invalid_id_is_refused_before_anything_is_sent(
    deploy: Deploy, hub: Hub, space_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(space_id=space_id) == 2
    assert "must be OWNER/NAME" in capsys.readouterr().err
    assert hub.requests == []


@pytest.mark.parametrize("options", [["--what"], ["--dry-run", "--stage"], ["extra"]])
def test_invalid_options_exit_with_2(
    deploy: Deploy, hub: Hub, options: list[str]
) -> None:
    assert deploy(*options) == 2
    assert hub.requests == []


@pytest.mark.parametrize(
    ("variables", "token"),
    [
        ({"HF_TOKEN": TOKEN, "HUGGINGFACEHUB_API_TOKEN": "hf_other"}, TOKEN),
        ({"HF_TOKEN": " ", "HUGGINGFACEHUB_API_TOKEN": f"{TOKEN}\r\n"}, TOKEN),
    ],
)
def test_the_token_is_that_of_the_first_variable_with_a_value(
    deploy: Deploy,
    hub: Hub,
    variables: dict[str, str],
    token: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert deploy(token="") == 0
    assert hub.spaces[ID].secrets["HUGGINGFACEHUB_API_TOKEN"] == token


def test_the_given_token_goes_before_the_variables(
    deploy: Deploy, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert deploy() == 0


@pytest.mark.parametrize("token", ["", "  ", "hf_a b", "hf_aé"])
def test_no_token_and_an_impossible_one_exit_with_2(
    deploy: Deploy, hub: Hub, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(token=token) == 2
    said = capsys.readouterr().err
    assert "https://huggingface.co/settings/tokens" in said
    assert "hf_a" not in said
    assert hub.requests == []


@pytest.mark.parametrize("name", ["Dockerfile", "app.py", "requirements.txt"])
def test_a_missing_file_exits_with_1_before_anything_is_sent(
    deploy: Deploy, hub: Hub, app: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (app / name).unlink()
    assert deploy() == 1
    assert f"{app / name} is missing" in capsys.readouterr().err
    assert hub.requests == []


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429, 500, 503])
def test_a_space_that_can_not_be_created_exits_with_3(
    deploy: Deploy, hub: Hub, app: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuse("/repos/create", status, f"not for {TOKEN}")
    assert deploy() == 3
    said = capsys.readouterr().err
    assert "The Space me/space was not created: " in said
    assert str(status) in said
    assert TOKEN not in said
    assert hub.spaces == {}
    assert not (app / ".env.local").exists()


def test_a_space_of_others_that_exists_is_used_with_write_access(
    deploy: Deploy, hub: Hub
) -> None:
    """An organization may allow its members to write, and not to create Spaces."""
    assert deploy() == 0
    hub.refuse("/repos/create", 403)
    assert deploy() == 0


@pytest.mark.parametrize("status", [401, 403, 404, 413, 429, 500])
def test_a_failed_upload_exits_with_4_and_leaves_the_space_as_it_was(
    deploy: Deploy, hub: Hub, app: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuse("/commit/main", status)
    assert deploy() == 4
    said = capsys.readouterr().err
    assert "The upload failed: " in said
    assert str(status) in said
    assert hub.spaces[ID].files.keys() == {"README.md"}
    assert hub.spaces[ID].secrets == {}
    assert not (app / ".env.local").exists()


def test_an_interrupted_upload_is_complete_after_another_try(
    deploy: Deploy, hub: Hub
) -> None:
    hub.cut("/commit/main", times=1)
    assert deploy() == 4
    assert hub.spaces[ID].files.keys() == {"README.md"}
    assert deploy() == 0
    assert hub.spaces[ID].files.items() >= APP_FILES.items()


def test_a_busy_hub_is_asked_again(deploy: Deploy, hub: Hub) -> None:
    hub.refuse("/preupload", 429, times=1)
    assert deploy() == 0
    assert hub.spaces[ID].commits == 1


@pytest.mark.parametrize(("path", "status"), [("/create", 3), ("/commit", 4)])
def test_a_hub_that_does_not_answer_is_given_up(
    app: Path, hub: Hub, path: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    script = load(app)
    script.TIMEOUT_SECONDS = 0.5
    hub.hang(path)
    assert script.main(["--space-id", ID, "--token", TOKEN]) == status
    assert "timed out" in capsys.readouterr().err


def test_an_unreachable_hub_exits_with_3(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    assert deploy() == 3
    assert "refused" in capsys.readouterr().err


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_refused_secrets_are_only_a_warning(
    deploy: Deploy, hub: Hub, app: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuse("/secrets", status, f"{TOKEN} may not")
    assert deploy() == 0
    said = capsys.readouterr()
    for name in ("ALLOW_ORIGINS", "HUGGINGFACEHUB_API_TOKEN"):
        assert f"warning: The secret {name} was not set: " in said.err
    assert f"{hub.url}/spaces/me/space/settings" in said.err
    assert TOKEN not in said.out + said.err
    assert hub.spaces[ID].files.items() >= APP_FILES.items()
    assert (app / ".env.local").exists()


def test_an_unknown_stage_after_a_deployment_is_only_a_warning(
    deploy: Deploy, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuse("/runtime", 500)
    assert deploy() == 0
    assert "warning: The stage of me/space is unknown: " in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["RUNNING", "SLEEPING", "BUILD_ERROR", "NEW_ONE"])
@pytest.mark.parametrize("token", [TOKEN, ""])
def test_the_stage_of_a_space_is_printed_alone(
    deploy: Deploy,
    hub: Hub,
    stage: str,
    token: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert deploy() == 0
    capsys.readouterr()
    hub.requests.clear()
    hub.stage, hub.is_public = stage, True
    assert deploy("--stage", token=token) == 0
    assert capsys.readouterr().out == f"{stage}\n"
    assert hub.calls() == [("GET", "/api/spaces/me/space/runtime")]
    bearer = f"Bearer {token}" if token else None
    assert hub.requests[0].headers.get("authorization") == bearer


def test_the_stage_of_a_missing_space_exits_with_3(
    deploy: Deploy, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("--stage") == 3
    assert "The stage of me/space is unknown: " in capsys.readouterr().err


def test_a_dry_run_says_what_would_happen_and_does_nothing(
    deploy: Deploy, hub: Hub, app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(app.rglob("*"))
    assert deploy("--dry-run", "--origins", "https://a.example") == 0
    said = capsys.readouterr().out
    for name in APP_FILES:
        assert f"  {name}\n" in said
    assert "ALLOW_ORIGINS=https://a.example" in said
    assert f"{app / '.env.local'}: VITE_CLOUD_ENGINE_URL=https://me-space" in said
    assert TOKEN not in said
    assert hub.requests == []
    assert sorted(app.rglob("*")) == before


def test_a_dry_run_fails_where_a_deployment_would_before_it_sends_anything(
    deploy: Deploy, app: Path
) -> None:
    assert deploy("--dry-run", token="") == 2
    assert deploy("--dry-run", space_id="space") == 2
    (app / "app.py").unlink()
    assert deploy("--dry-run") == 1


def run(
    root: Path, *options: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run the script as a front end's npm script does."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "scripts/hf_space_deploy.py", *options],
        cwd=root,
        env={**keep, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_line_deploys_without_showing_the_token(
    app: Path, hub: Hub
) -> None:
    write(app, {"scripts/hf_space_deploy.py": SCRIPT.read_bytes()})
    done = run(
        app,
        *("--space-id", ID, "--origins", "", "--token", ""),
        HF_ENDPOINT=hub.url,
        HF_TOKEN=TOKEN,
        HF_HUB_DISABLE_XET="1",
        # Makes the library log each request.
        HF_DEBUG="1",
    )
    assert done.returncode == 0, done.stderr
    assert hub.spaces[ID].files.items() >= APP_FILES.items()
    assert hub.spaces[ID].secrets["ALLOW_ORIGINS"] == "http://localhost:5173"
    assert TOKEN not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "Stage: BUILDING"


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    app: Path,
) -> None:
    write(app, {"scripts/hf_space_deploy.py": SCRIPT.read_bytes()})
    # An empty file in front of the library's folder hides what it needs.
    write(app, {"scripts/httpx2.py": b"raise ModuleNotFoundError(name='httpx2')\n"})
    done = run(app, "--space-id", ID, HF_TOKEN=TOKEN)
    assert done.returncode == 1
    assert 'pip install "huggingface_hub' in done.stderr
    assert "Traceback" not in done.stderr
