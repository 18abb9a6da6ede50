"""The arguments of an application: unknown ones are refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deployments.args import AppArgs, checked
from deployments.stems import StemsArgs
from serve_app.settings.check import WrongSettings
from tests.unit.deployments.modules import Modules

TOY = """
from typing import Any, ClassVar

from deployments.pool import Pool, Strict


class ToyArgs(Strict):
    parrot: Pool = Pool()


class Toy:
    Args: ClassVar[type[Strict]] = ToyArgs

    def __init__(self, args: Any) -> None:
        self.args = args


SYSTEM = Toy
"""


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[str]:
    with Modules(tmp_path) as modules:
        modules.write("a_toy", TOY)
        yield "a_toy"


def stems_of(given: dict[str, Any]) -> StemsArgs:
    found: StemsArgs = checked(given).made()["stems"].args  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize(
    "args",
    [
        {"separater": {}},
        {"separator": {"num_gpu": 1}},
        {"separator": {"num_cpus": -1}},
        {"separator": {"autoscaling": {"max_replica": 2}}},
        {"systems": {"stems": {"separater": {}}}},
        {"systems": {"stems": {"separator": {"num_gpu": 1}}}},
        {"systems": {"stems": [1]}},
        {"systems": [1], "separator": {}},
        {"systems": {"stems": [1]}, "separator": {}},
        {"systems": {}},
    ],
)
def test_a_typo_is_refused(args: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        checked(args)


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(WrongSettings, match="Did you mean max_upload_bytes"):
        AppArgs(settings={"max_upload_byte": 1}).resolved_settings()


def test_settings_of_systems_that_do_not_run_are_not_checked(
    toy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSERVE_MODEL", "spleeter")
    monkeypatch.setenv("STEMSERVE_DEVICE", "gpu")
    only_toy = checked({"systems": {toy: {}}})
    assert only_toy.resolved_settings().model == "spleeter"
    both = checked({"systems": {toy: {}, "stems": {}}})
    with pytest.raises(WrongSettings, match="STEMSERVE_MODEL=spleeter"):
        both.resolved_settings()


def test_a_system_brings_the_rules_of_its_settings(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = """    settings_rules: ClassVar[dict[str, Any]] = {"lease_seconds": refuse}

    def __init__"""
    refuse = """def refuse(settings: Any) -> None:
    raise ValueError("must be another")


class Toy:"""
    ruled = TOY.replace("class Toy:", refuse).replace("    def __init__", rules)
    (tmp_path / "a_strict_toy.py").write_text(ruled)
    monkeypatch.setenv("STEMSERVE_LEASE_SECONDS", "7")
    with pytest.raises(
        WrongSettings, match=r"^STEMSERVE_LEASE_SECONDS=7: must be another\.$"
    ):
        checked({"systems": {"a_strict_toy": {}}}).resolved_settings()
    checked({"systems": {toy: {}}}).resolved_settings()


def test_the_application_consists_of_stems_unless_it_says_of_what() -> None:
    assert set(checked({}).made()) == {"stems"}
    assert stems_of({}) == StemsArgs()


def test_what_a_config_says_of_a_pool_counts() -> None:
    args = stems_of({"analyzer": {"num_cpus": 2, "env": {"A": "b"}}})
    assert args.analyzer.num_cpus == 2
    assert args.analyzer.env == {**StemsArgs().analyzer.env, "A": "b"}
    assert args.analyzer.max_ongoing_requests == 4


def test_the_pools_of_stems_may_stand_in_their_section_or_outside() -> None:
    pools = {"separator": {"num_gpus": 1}, "analyzer": {"num_replicas": 3}}
    assert stems_of({"systems": {"stems": pools}}) == stems_of(pools)
    outside, inside = {"separator": pools["separator"]}, {"analyzer": pools["analyzer"]}
    both = {**outside, "systems": {"stems": inside}}
    assert stems_of(both) == stems_of(pools)


def test_what_the_section_says_counts_more_than_what_is_outside() -> None:
    inside = {"separator": {"num_gpus": 1}}
    both = {"separator": {"num_gpus": 2}, "systems": {"stems": inside}}
    assert stems_of(both).separator.num_gpus == 1


def test_pools_of_stems_outside_their_section_make_stems_one_of_the_systems(
    toy: str,
) -> None:
    made = checked({"separator": {}, "systems": {toy: None}}).made()
    assert list(made) == [toy, "stems"]


@pytest.mark.parametrize("said", [None, {}])
def test_a_section_may_be_empty(said: object) -> None:
    assert stems_of({"systems": {"stems": said}}) == StemsArgs()


def test_systems_are_made_of_their_sections_in_their_order(toy: str) -> None:
    made = checked({"systems": {toy: {"parrot": {"num_cpus": 2}}, "stems": {}}}).made()
    assert list(made) == [toy, "stems"]
    assert made[toy].args.parrot.num_cpus == 2  # type: ignore[attr-defined]


def test_a_wrong_section_is_named_with_its_system(toy: str) -> None:
    with pytest.raises(ValidationError) as caught:
        checked({"systems": {"stems": {}, toy: {"parrot": {"num_cpu": 2}}}})
    (error,) = caught.value.errors()
    assert error["loc"] == ("systems", toy, "parrot", "num_cpu")
    assert error["type"] == "extra_forbidden"
    assert error["input"] == 2


def test_a_system_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown system `stmes`"):
        checked({"systems": {"stmes": {}}})
