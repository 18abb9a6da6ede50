"""Schemas are made strict and small, and allow what they did."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tools import crd_schemas

POD: dict[str, Any] = {
    "type": "object",
    "description": "long " * 100,
    "required": ["memory"],
    "properties": {
        "memory": {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": "^[0-9]+(Mi|Gi)?$",
            "x-kubernetes-int-or-string": True,
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "type": {"type": "string", "enum": ["One", "Two"]},
        **{f"field{number}": {"type": "string"} for number in range(9)},
    },
}
DEFINITION: dict[str, Any] = {
    "spec": {
        "group": "example.com",
        "names": {"kind": "Thing"},
        "versions": [
            {"name": "v1alpha1", "schema": {"openAPIV3Schema": {}}, "storage": False},
            {
                "name": "v1",
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "metadata": {"type": "object"},
                            "spec": {
                                "type": "object",
                                "properties": {"head": POD, "worker": POD},
                            },
                        },
                    }
                },
            },
        ],
    }
}


def thing(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "a"},
        "spec": spec,
    }


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(crd_schemas, "FOLDER", tmp_path)
    crd_schemas.write(DEFINITION, "an example")
    content: dict[str, Any] = json.loads((tmp_path / "Thing.json").read_text())
    return content


def test_source_and_licence_are_in_the_file(written: dict[str, Any]) -> None:
    assert (written["source"], written["licence"]) == ("an example", "Apache-2.0")
    assert written["apiVersion"] == "example.com/v1"


def test_what_is_repeated_is_there_once_and_without_descriptions(
    written: dict[str, Any],
) -> None:
    text = json.dumps(written)
    assert text.count("field8") == 1
    assert "long" not in text


@pytest.mark.parametrize(
    ("object", "is_valid"),
    [
        (thing(head={"memory": 5}), True),
        (thing(worker={"memory": "5Gi", "labels": {"any": "x"}}), True),
        (thing(head={"memory": 5, "extra": {"any": {"thing": 1}}}), True),
        (thing(head={"memory": "5GB"}), False),
        (thing(head={"memory": 0.5}), False),
        (thing(head={}), False),
        (thing(head={"memory": 5, "memry": 5}), False),
        (thing(head={"memory": 5, "labels": {"any": 1}}), False),
        (thing(head={"memory": 5, "type": "Three"}), False),
        ({**thing(), "kind": "Other"}, False),
        ({**thing(), "metadata": {"nme": "a"}}, False),
    ],
)
def test_it_allows_what_the_definition_names_and_nothing_else(
    written: dict[str, Any], object: dict[str, Any], is_valid: bool
) -> None:
    assert Draft202012Validator(written["schema"]).is_valid(object) is is_valid


def test_those_in_the_repository_are_schemas_that_name_their_source() -> None:
    files = sorted(Path(crd_schemas.FOLDER).glob("*.json"))
    assert {"RayService.json", "Gateway.json"} <= {each.name for each in files}
    for each in files:
        content = json.loads(each.read_text())
        Draft202012Validator.check_schema(content["schema"])
        assert content["source"]
        assert content["licence"] == "Apache-2.0"
