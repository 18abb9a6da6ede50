"""A config is checked as a whole before anything starts."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeApplicationSchema, ServeDeploySchema

from deployments import config
from deployments.args import AppArgs
from deployments.stems import StemsArgs
from serve_app.settings.serve_config import APPLICATION_KEYS

ROOT = Path(__file__).parents[3]
CONFIGS = [ROOT / "serve_config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))]


def only(path: Path) -> AppArgs:
    [application] = config.read(path)
    return application.args


def stems_of(args: AppArgs) -> StemsArgs:
    found: StemsArgs = args.made()["stems"].args  # type: ignore[attr-defined]
    return found


def written(directory: Path, text: str) -> Path:
    path = directory / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_in_the_repository_is_valid(path: Path) -> None:
    ServeDeploySchema.model_validate(yaml.safe_load(path.read_text()))
    args = only(path)
    assert args.resolved_settings().max_attempts > 0


def test_operators_pin_their_model_and_laptops_take_what_they_get() -> None:
    pinned = only(ROOT / "serve_config.yaml").resolved_settings().model
    assert pinned == "hdemucs_high_musdb_plus"
    local = only(ROOT / "configs" / "local.yaml").resolved_settings().model
    assert local == "auto"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_what_a_config_does_not_say_of_a_pool_stays_as_it_was(path: Path) -> None:
    args, default = only(path), AppArgs()
    stems, stems_default = stems_of(args), StemsArgs()
    assert args.api.max_ongoing_requests == default.api.max_ongoing_requests
    assert stems.separator.env == stems_default.separator.env
    assert stems.analyzer.env == stems_default.analyzer.env
    assert args.api.max_surge_percent == default.api.max_surge_percent
    for mine, its in (
        (args.dispatcher, default.dispatcher),
        (stems.separator, stems_default.separator),
    ):
        assert mine.graceful_shutdown_timeout_s == its.graceful_shutdown_timeout_s


@pytest.mark.parametrize("text", ["", "applications: []"])
def test_a_config_without_an_application_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="at least one"):
        config.read(written(tmp_path, text))


def test_a_config_may_have_several_applications(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
applications:
  - {name: one, route_prefix: /, args: {settings: {threads: 1}}}
  - name: two
    route_prefix: /two
    args: {systems: {stems: {separator: {num_cpus: 2}}}}
""",
    )
    one, two = config.read(path)
    assert (one.name, one.route_prefix) == ("one", "/")
    assert (two.name, two.route_prefix) == ("two", "/two")
    assert one.args.resolved_settings().threads == 1
    assert stems_of(one.args) == StemsArgs()
    assert stems_of(two.args).separator.num_cpus == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("{separater: {}}", "unknown name `separater`. Did you mean `separator`"),
        ("{separator: {num_gpu: 1}}", "unknown name `separator.num_gpu`. Did you mean"),
        (
            "{api: {num_cpus: -1}}",
            "`api.num_cpus` must be greater than or equal to 0, got -1",
        ),
        ("{settings: {modle: demo}}", "settings.modle in the config"),
        ("{settings: {threads: many}}", "settings.threads in the config=many must be"),
        ("[1]", "`args` must be a mapping"),
        (
            "{systems: {stems: {separater: {}}}}",
            "unknown name `systems.stems.separater`. Did you mean `separator`",
        ),
        (
            "{systems: {stems: {separator: {num_gpu: 1}}}}",
            "unknown name `systems.stems.separator.num_gpu`. Did you mean `num_gpus`",
        ),
        (
            "{analyzer: {}, systems: {stems: {separator: {num_cpus: -1}}}}",
            "`systems.stems.separator.num_cpus` must be greater than or equal to 0",
        ),
        ("{system: {}}", "unknown name `system`. Did you mean `systems`"),
        (
            "{systems: {stems: 5}}",
            "`systems.stems` must be a mapping of names to values, got 5",
        ),
        ("{systems: {stmes: {}}}", "unknown system `stmes`"),
        ("{systems: {}}", "`systems` must have at least one entry"),
    ],
)
def test_a_wrong_config_is_explained_in_lines(
    tmp_path: Path, args: str, words: str
) -> None:
    path = written(tmp_path, f"applications: [{{args: {args}}}]")
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        config.read(path)
    assert "pydantic" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_each_typo_of_a_section_is_told_in_a_line(tmp_path: Path) -> None:
    section: dict[str, Any] = {"separater": {}, "analyzer": {"num_gpu": 1}}
    args = {"systems": {"stems": section}}
    path = written(tmp_path, yaml.safe_dump({"applications": [{"args": args}]}))
    with pytest.raises(ValueError, match="separater") as caught:
        config.read(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(
        line.startswith(f"{path}: unknown name `systems.stems.") for line in lines
    )


def test_a_typo_of_the_second_application_is_told(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
applications:
  - {name: one, route_prefix: /one}
  - {name: two, route_prefix: /two, args: {apy: {}}}
""",
    )
    with pytest.raises(ValueError, match=r"unknown name `apy`. Did you mean `api`\?"):
        config.read(path)


@pytest.mark.parametrize(
    ("application", "words"),
    [
        ("{arg: {}}", "unknown name `arg` in an application. Did you mean `args`?"),
        ("{settings: {}}", "unknown name `settings` in an application"),
        ("{route_prefix: stems}", "`route_prefix` must start with `/`, got 'stems'"),
        ("{args: {systems: {stemz: {}}}}", "unknown system `stemz` in `systems`; name"),
    ],
)
def test_a_fault_of_an_application_is_named(
    tmp_path: Path, application: str, words: str
) -> None:
    path = written(tmp_path, f"applications: [{application}]")
    with pytest.raises(ValueError, match=re.escape(words)):
        config.read(path)


def test_each_faulty_application_is_named(tmp_path: Path) -> None:
    faulty = [
        {"name": name, "route_prefix": f"/{name}", "args": {"separater": {}}}
        for name in ("a", "b")
    ]
    path = written(tmp_path, yaml.safe_dump({"applications": faulty}))
    with pytest.raises(ValueError, match="separater") as raised:
        config.read(path)
    first, second = str(raised.value).splitlines()
    assert "application `a`: unknown name `separater`" in first
    assert "application `b`: unknown name `separater`" in second


def test_the_keys_of_an_application_are_ray_serve_s() -> None:
    assert set(APPLICATION_KEYS) == set(ServeApplicationSchema.model_fields)


def test_a_system_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_system.py").write_text("import no_such_library")
    (tmp_path / "odd_system.py").write_text("SYSTEM = 5")
    for name, words in (("broken_system", "no_such_library"), ("odd_system", "`Args`")):
        faulty = {"args": {"systems": {name: {}}}}
        path = written(tmp_path, yaml.safe_dump({"applications": [faulty]}))
        with pytest.raises(ValueError, match=words):
            config.read(path)


@pytest.mark.parametrize(
    ("systems", "has_any_port"), [("stems", False), ("images", True)]
)
def test_proxies_answer_the_pages_of_each_system(
    tmp_path: Path, systems: str, has_any_port: bool
) -> None:
    [application] = config.read(
        written(tmp_path, f"applications: [{{args: {{systems: {{{systems}: {{}}}}}}}}]")
    )
    settings = application.args.resolved_settings()
    origins = config.page_origins(application, settings)
    assert set(settings.cors_origins) <= set(origins)
    assert ("http://localhost:*" in origins) == has_any_port
