"""Write the schemas that `stemserve check` uses, from CustomResourceDefinitions.

    python -m tools.crd_schemas rayservices.yaml --source "KubeRay 1.7.0, https://…"

A schema here is that of the definition, with unknown fields forbidden, without
descriptions, and with what is repeated written once.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "deployments" / "checking" / "schemas"
VERSION = "v1"
LICENCE = "Apache-2.0"
# The rules of JSON Schema that are kept; the API server has no others for shapes.
RULES = (
    *("type", "enum", "pattern", "minimum", "maximum", "required"),
    *("minItems", "maxItems", "minLength", "maxLength"),
    *("anyOf", "oneOf", "allOf", "not"),
)
# The definitions allow any; these are those of ObjectMeta that people write.
METADATA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **{name: {"type": "string"} for name in ("name", "namespace", "generateName")},
        **{
            name: {"type": "object", "additionalProperties": {"type": "string"}}
            for name in ("labels", "annotations")
        },
        "finalizers": {"type": "array", "items": {"type": "string"}},
    },
}
_SHORTEST_SHARED = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("definitions", nargs="+", type=Path)
    parser.add_argument("--source", required=True, help="where they come from")
    options = parser.parse_args()
    for path in options.definitions:
        write(yaml.load(path.read_text(), yaml.CSafeLoader), options.source)


def write(definition: Mapping[str, Any], source: str) -> None:
    """Write the schema of a definition to a file named after its kind."""
    spec = definition["spec"]
    kind, api_version = spec["names"]["kind"], f"{spec['group']}/{VERSION}"
    [found] = [
        each["schema"]["openAPIV3Schema"]
        for each in spec["versions"]
        if each["name"] == VERSION or each["storage"]
    ][:1]
    schema = strict(found)
    schema["properties"] |= {
        "apiVersion": {"type": "string", "enum": [api_version]},
        "kind": {"type": "string", "enum": [kind]},
        "metadata": METADATA,
    }
    schema["required"] = sorted({*schema.get("required", ()), "metadata", "spec"})
    content = {
        "source": source,
        "licence": LICENCE,
        "apiVersion": api_version,
        "schema": shared(schema),
    }
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    (FOLDER / f"{kind}.json").write_text(text + "\n")


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that forbids the fields that it does not name."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {}
    kept = {rule: schema[rule] for rule in RULES if rule in schema}
    if not _compiles(kept.get("pattern", "")):
        del kept["pattern"]
    if schema.get("x-kubernetes-int-or-string"):
        kept.pop("anyOf", None)
        kept["type"] = ["integer", "string"]
    if "properties" in schema:
        fields = schema["properties"].items()
        kept["properties"] = {name: strict(value) for name, value in fields}
        kept["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = strict(schema["additionalProperties"])
    if "items" in schema:
        kept["items"] = strict(schema["items"])
    return kept


def _compiles(pattern: str) -> bool:
    """Whether Python knows the expression, which is one of Go."""
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def shared(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the same schema, with each large part that is repeated in `$defs`."""
    counts = Counter(_texts(schema))
    names: dict[str, str] = {}
    definitions: dict[str, Any] = {}

    def short(node: Any) -> Any:
        if isinstance(node, list):
            return [short(each) for each in node]
        if not isinstance(node, dict):
            return node
        text = _text(node)
        is_shared = _is_schema(node) and counts[text] > 1
        if is_shared and len(text) >= _SHORTEST_SHARED:
            if text not in names:
                names[text] = str(len(names))
                definitions[names[text]] = {key: short(node[key]) for key in node}
            return {"$ref": f"#/$defs/{names[text]}"}
        return {key: short(value) for key, value in node.items()}

    return {**short(schema), "$defs": definitions}


def _texts(node: Any) -> Iterator[str]:
    children = node.values() if isinstance(node, dict) else node
    if isinstance(node, dict) and _is_schema(node):
        yield _text(node)
    if isinstance(node, dict | list):
        for each in children:
            yield from _texts(each)


def _is_schema(node: Mapping[str, Any]) -> bool:
    """Whether it is a schema, and not the names of properties."""
    return isinstance(node.get("type"), str | list)


def _text(node: Mapping[str, Any]) -> str:
    return json.dumps(node, sort_keys=True)


if __name__ == "__main__":
    main()
