"""A Serve config is checked as Serve would read it, and strictly."""

from typing import Any

import pytest

from deployments.checking import serve_config


def texts(**application: Any) -> list[str]:
    given = {"name": "a", "import_path": "deployments.app:build", **application}
    return [each.text for each in serve_config.faults({"applications": [given]})]


def test_a_config_may_use_all_of_ray_s_schema() -> None:
    deployment = {
        "name": "Api",
        "num_replicas": "auto",
        "ray_actor_options": {"num_cpus": 1, "runtime_env": {"anything": 1}},
        "autoscaling_config": {"min_replicas": 1, "max_replicas": 2},
        "logging_config": {"log_level": "INFO"},
    }
    assert texts(deployments=[deployment], runtime_env={"env_vars": {"A": "1"}}) == []


@pytest.mark.parametrize(
    ("deployment", "words"),
    [
        ({"name": "Apy"}, "must be one of Api, DispatcherReplica, Separator, Analyzer"),
        ({"name": "Api", "num_replica": 1}, "Did you mean `num_replicas`?"),
        ({"name": "Api", "num_replicas": 0}, "num_replicas` must"),
        (
            {"name": "Api", "ray_actor_options": {"num_cpu": 1}},
            "unknown name `applications[0].deployments[0].ray_actor_options.num_cpu`",
        ),
        (
            {"name": "Api", "autoscaling_config": {"max_replica": 2}},
            "Did you mean `max_replicas`?",
        ),
        ({}, "deployments[0].name` is required"),
        (
            {
                "name": "Api",
                "ray_actor_options": {
                    "runtime_env": {"env_vars": {"STEMSERVE_THREADS": "many"}}
                },
            },
            "STEMSERVE_THREADS=many must be",
        ),
    ],
)
def test_a_fault_of_a_deployment_is_found(
    deployment: dict[str, Any], words: str
) -> None:
    said = texts(deployments=[deployment])
    assert any(words in each for each in said), said


@pytest.mark.parametrize(
    ("application", "words"),
    [
        ({"route_prefix": "stems"}, "route_prefix` must start with `/`, got 'stems'"),
        ({"import_path": "nowhere.app:build"}, "No module named 'nowhere'"),
        ({"import_path": 5}, "import_path` must be a valid string, got 5"),
        ({"args": []}, "args` must be a mapping of names to values, got []"),
        ({"args": {"systems": {"stmes": {}}}}, "unknown system `stmes`"),
        ({"args": {"systems": {"stems": {"separater": {}}}}}, "unknown name `systems."),
        ({"args": {"settings": {"model": "demmo"}}}, "model in the config=demmo: must"),
        ({"port": 80}, "Port 80 is set"),
        (
            {"runtime_env": {"env_vars": {"STEMSERVE_MODLE": "demo"}}},
            "Did you mean STEMSERVE_MODEL?",
        ),
        (
            {"runtime_env": {"env_vars": {"STEMSERVE_RETENTION_SECONDS": "-5"}}},
            "STEMSERVE_RETENTION_SECONDS=-5 must be a number of at least 0",
        ),
        (
            {"runtime_env": {"env_vars": {"STEMSERVE_THREADS": 5}}},
            "env_vars.STEMSERVE_THREADS` must be a text in quotes, got 5",
        ),
        ({"runtime_env": {"env_varz": {}}}, "Did you mean `env_vars`?"),
        ({"args": {"api": {"env": {"STEMSERVE_MODLE": "a"}}}}, "Did you mean STEMSE"),
    ],
)
def test_a_fault_of_an_application_is_found(
    application: dict[str, Any], words: str
) -> None:
    said = texts(**application)
    assert any(words in each for each in said), said


def test_an_environment_may_need_what_the_settings_or_the_machine_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime_env = {"env_vars": {"STEMSERVE_STORAGE_COPIES": "2"}}
    assert "must be at most 1" in texts(runtime_env=runtime_env)[0]
    salted = {"storage": ["s3://a", "s3://b"], "storage_salt": "x" * 40}
    assert texts(runtime_env=runtime_env, args={"settings": salted}) == []
    monkeypatch.setenv("STEMSERVE_STORAGE", "s3://a s3://b")
    monkeypatch.setenv("STEMSERVE_STORAGE_SALT", "x" * 40)
    assert texts(runtime_env=runtime_env) == []


def test_arguments_of_other_builders_are_left_to_them() -> None:
    assert texts(import_path="json:loads", args={"anything": 1}) == []


def test_equal_names_are_told_once_each() -> None:
    listed = [
        {"name": name, "route_prefix": f"/{index}", "import_path": "json:loads"}
        for index, name in enumerate(("a", "b", "a"))
    ]
    [fault] = serve_config.faults({"applications": listed})
    assert fault.place == ("applications", 2, "name")
    assert "also that of application 1" in fault.text
