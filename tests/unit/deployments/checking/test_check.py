"""Typos in configs and manifests are found, each with its line."""

import copy
import re
from collections.abc import Iterator, Mapping
from functools import cache
from random import Random
from typing import Any

import pytest
import yaml

from deployments.checking import check
from deployments.checking.check import NothingToCheck
from deployments.checking.fault import Place, at
from tests import kubectl
from tools import check_manifests

pytestmark = kubectl.needed

# What is replaced, by what, and what is said of the line where it stands then.
TYPOS: Mapping[str, tuple[str, str, str]] = {
    "field of the definition": (
        "enableInTreeAutoscaling: true",
        "enableInTreeAutoScaling: true",
        "Did you mean `enableInTreeAutoscaling`?",
    ),
    "field of Serve's config": (
        "proxy_location: EveryNode",
        "proxy_locations: EveryNode",
        "unknown name `proxy_locations`. Did you mean `proxy_location`?",
    ),
    "argument": (
        "num_gpus: 1",
        "num_gpu: 1",
        "unknown name `separator.num_gpu`. Did you mean `num_gpus`?",
    ),
    "setting": (
        "songs_at_once: 8",
        "song_at_once: 8",
        "settings.song_at_once in the config is not a setting. "
        "Did you mean songs_at_once?",
    ),
    "type": (
        "num_replicas: 2",
        "num_replicas: two",
        "`dispatcher.num_replicas` must be a valid integer",
    ),
    "one of several values": (
        "mode: token",
        "mode: tokens",
        "`spec.rayClusterConfig.authOptions.mode` must be one of disabled, token, got "
        "'tokens'",
    ),
    "unit": (
        "memory: 16Gi",
        "memory: 16GB",
        "must be an amount such as 2, 500m or 8Gi",
    ),
    "key of a Secret": (
        "key: STEMSERVE_DATABASE_URL",
        "key: STEMSERVE_DATABASE",
        "which the Secret `stemserve-secrets` does not have. Did you mean "
        "`STEMSERVE_DATABASE_URL`?",
    ),
    "route that is taken": (
        "        import_path: deployments.app:build\n",
        "        import_path: deployments.app:build\n"
        "      - name: other\n"
        "        import_path: deployments.app:build\n"
        "        route_prefix: /\n",
        "`applications[1].route_prefix` must be unique, but `/` is also that of "
        "application 1",
    ),
    "variable": (
        "STEMSERVE_PUBLIC_URL:",
        "STEMSERVE_PUBLIC_URI:",
        "Did you mean STEMSERVE_PUBLIC_URL?",
    ),
    "import path": (
        "import_path: deployments.app:build",
        "import_path: deployments.app:bulid",
        "has no `bulid`; did you mean `deployments.app:build`",
    ),
    "indentation that moves a key up": (
        "            songs_at_once: 8\n",
        "          songs_at_once: 8\n",
        "unknown name `songs_at_once`.",
    ),
}


@cache
def production() -> str:
    return check_manifests.rendered("prod")


def planted(text: str, old: str, new: str) -> tuple[str, int]:
    """Return the text with a typo, and the number of the typo's last line."""
    assert old in text
    before, _, after = text.partition(old)
    return before + new + after, (before + new.rstrip("\n")).count("\n") + 1


def test_a_dozen_kinds_of_typos_are_tried() -> None:
    assert len(TYPOS) == 12


@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_in_a_manifest_is_found_at_its_line(typo: str) -> None:
    old, new, words = TYPOS[typo]
    text, line = planted(production(), old, new)
    found = [(each.line, each.text) for each in check.findings(text)]
    assert [each for each in found if each[0] == line and words in each[1]], found
    # The checks of CI, too.
    assert set(found) <= set(check_manifests.faults(text))


@pytest.mark.parametrize("overlay", check_manifests.ALL)
def test_every_overlay_is_without_fault(overlay: str) -> None:
    assert check_manifests.faults(check_manifests.rendered(overlay)) == []


def test_every_typo_of_a_file_is_found_at_once() -> None:
    text = production()
    for old, new, _ in (TYPOS["argument"], TYPOS["variable"], TYPOS["unit"]):
        text, _ = planted(text, old, new)
    said = " ".join(each.text for each in check.findings(text))
    assert all(name in said for name in ("num_gpu", "STEMSERVE_PUBLIC_URI", "16GB"))


def test_a_serve_config_alone_is_checked() -> None:
    text = """\
applications:
  - name: one
    import_path: deployments.app:build
    args:
      api: {num_cpu: 1}
      settings:
        threads: many
"""
    found = {each.line: each.text for each in check.findings(text)}
    assert found == {5: "unknown name `api.num_cpu`. Did you mean `num_cpus`?"}
    found = {
        each.line: each.text for each in check.findings(text.replace("cpu:", "cpus:"))
    }
    assert list(found) == [7]
    assert "settings.threads in the config=many must be a whole number" in found[7]


def test_the_environment_of_this_machine_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEMSERVE_THREADS", "many")
    assert check_manifests.faults(production()) == []


def test_directories_and_packages_of_this_machine_do_not_count() -> None:
    text = """\
applications:
  - import_path: deployments.app:build
    args: {settings: {data_dir: /proc/nowhere, database_url: "postgresql://a/b"}}
"""
    assert check.findings(text) == []


def test_an_invalid_setting_of_a_config_map_is_found_there() -> None:
    old, new = "STEMSERVE_TRUSTED_PROXIES: 10.0.0.0/8", "STEMSERVE_TRUSTED_PROXIES: all"
    text, line = planted(production(), old, new)
    [found] = check.findings(text)
    assert found.line == line
    assert found.text.startswith("STEMSERVE_TRUSTED_PROXIES=all")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("type: None", "type: NewCluster"),
        ("maxReplicas: 1", "maxReplicas: 2"),
    ],
)
def test_sqlite_where_replicas_may_run_on_several_nodes_is_found(
    old: str, new: str
) -> None:
    text, _ = planted(check_manifests.rendered("dev"), old, new)
    said = [each.text for each in check.findings(text)]
    assert len(said) == 2
    assert "STEMSERVE_DATABASE_URL: replicas may run on several nodes" in said[0]
    assert "STEMSERVE_STORAGE: replicas may run on several nodes" in said[1]


def test_what_a_config_map_of_the_cluster_has_is_no_fault() -> None:
    text = (check_manifests.MANIFESTS / "base" / "rayservice.yaml").read_text()
    assert check.findings(text) == []


def test_a_key_that_is_there_twice_is_found() -> None:
    old = "        route_prefix: /\n"
    text, line = planted(production(), old, old + old)
    assert [(each.line, each.text) for each in check.findings(text)] == [
        (line, "`route_prefix` is repeated: remove one of them.")
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: [", 1, "invalid YAML"),
        ("a: 1\nb: {c: 2\nd: 3\n", 3, "invalid YAML"),
        ("[]", 1, "a Serve config must be a mapping"),
        ("{}", 1, "`applications` is required"),
        ("aplications: []", 1, "Did you mean `applications`?"),
        (
            "apiVersion: ray.io/v1\nkind: RayServise\nmetadata: {}",
            2,
            "unknown kind 'RayServise'. Did you mean `RayService`?",
        ),
        (
            "apiVersion: ray.io/v2\nkind: RayService\nmetadata: {}\nspec: {}",
            1,
            "`apiVersion` must be one of ray.io/v1",
        ),
    ],
)
def test_what_is_no_config_is_told(text: str, line: int, words: str) -> None:
    assert any(
        each.line == line and words in each.text for each in check.findings(text)
    )


@pytest.mark.parametrize("text", ["", "---", "apiVersion: v1\nkind: Secret"])
def test_a_file_without_config_or_ray_service_is_refused(text: str) -> None:
    with pytest.raises(NothingToCheck, match="no Serve config"):
        check.findings(text)


def places(data: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    items = data.items() if isinstance(data, dict) else ()
    for key, value in enumerate(data) if isinstance(data, list) else items:
        yield from places(value, (*place, key))


def test_no_odd_value_anywhere_ends_the_check() -> None:
    documents = yaml.safe_load_all(production())
    [service] = [each for each in documents if each["kind"] == "RayService"]
    service["spec"]["serveConfigV2"] = yaml.safe_load(service["spec"]["serveConfigV2"])
    random = Random(17)
    for place in random.sample([*places(service)][1:], 40):
        mine = copy.deepcopy(service)
        around = at(mine, place[:-1])
        around[place[-1]] = random.choice([None, 5, -1.5, True, "", "odd", [], [1], {}])
        config = at(mine, ("spec", "serveConfigV2"))
        if isinstance(config, dict):
            mine["spec"]["serveConfigV2"] = yaml.safe_dump(config)
        check.findings(yaml.safe_dump(mine))


def test_faults_are_sentences_without_the_names_of_libraries() -> None:
    for old, new, _ in TYPOS.values():
        for each in check.findings(planted(production(), old, new)[0]):
            assert not re.search("pydantic|jsonschema|is not valid under", each.text)
            assert each.text.endswith((".", "?"))
