"""What holds for the application as a whole."""

from typing import Any

import pytest

from serve_app.api import problems, wire
from serve_app.api.app import create_app
from serve_app.api.part import ApiPart
from serve_app.stems import wire as stems_wire
from serve_app.stems.analysis_jobs import wire as analysis_wire
from serve_app.webhooks import wire as webhooks_wire
from serve_app.webhooks.target import WebhookEvent
from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio

WIRES = (wire, stems_wire, analysis_wire, webhooks_wire)
CALLS = {
    ("GET", "/"),
    ("GET", "/ping"),
    ("GET", "/livez"),
    ("GET", "/config"),
    ("GET", "/models"),
    ("GET", "/health"),
    ("GET", "/readyz"),
    ("POST", "/analyze"),
    ("GET", "/analyze/{job_id}"),
    ("DELETE", "/analyze/{job_id}"),
    ("POST", "/separate"),
    ("POST", "/uploads"),
    ("DELETE", "/uploads/{upload_id}"),
    ("GET", "/jobs"),
    ("GET", "/job/{job_id}"),
    ("DELETE", "/job/{job_id}"),
    ("GET", "/job/{job_id}/analysis"),
    ("GET", "/job/{job_id}/deliveries"),
    ("GET", "/job/{job_id}/export"),
    ("POST", "/job/{job_id}/mix"),
    ("GET", "/job/{job_id}/mix/{mix_id}"),
    ("GET", "/job/{job_id}/stems.zip"),
    ("GET", "/job/{job_id}/waveform"),
    ("POST", "/job/{job_id}/deliveries/{delivery_id}/replay"),
    ("GET", "/job/{job_id}/events"),
    ("GET", "/job/{job_id}/stems/{stem_name}"),
    ("HEAD", "/job/{job_id}/stems/{stem_name}"),
}


def operations(description: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


async def test_every_call_is_described_with_its_problems(server: Server) -> None:
    description = (await server.client.get("/openapi.json")).json()
    described = operations(description)
    assert set(described) == CALLS
    for call, operation in described.items():
        assert operation["summary"], call
        assert operation["description"], call
        assert problems.MEDIA_TYPE in operation["responses"]["default"]["content"]
    assert "HTTPValidationError" not in description["components"]["schemas"]
    assert set(described["POST", "/separate"]["responses"]) == {
        *("200", "400", "401", "403", "404", "408", "409", "413", "422"),
        *("429", "501", "503", "default"),
    }


async def test_what_receivers_are_sent_is_described(server: Server) -> None:
    description = (await server.client.get("/openapi.json")).json()
    assert set(description["webhooks"]) == set(WebhookEvent)
    for event in WebhookEvent:
        told = description["webhooks"][event]["post"]
        message = told["requestBody"]["content"]["application/json"]["schema"]
        assert message == {"$ref": "#/components/schemas/WebhookMessage"}
        assert "webhook-signature" in told["description"]


async def test_every_reference_in_the_description_leads_somewhere(
    server: Server,
) -> None:
    description = (await server.client.get("/openapi.json")).json()
    schemas = description["components"]["schemas"]

    def references(value: Any) -> list[str]:
        if isinstance(value, list):
            return [found for each in value for found in references(each)]
        if not isinstance(value, dict):
            return []
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + references(list(value.values()))

    found = references(description)
    assert "#/components/schemas/Problem" in found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in schemas


async def test_examples_are_what_the_server_may_answer(server: Server) -> None:
    description = (await server.client.get("/openapi.json")).json()
    examples = {
        name: shape["example"]
        for name, shape in description["components"]["schemas"].items()
        if "example" in shape
    }
    assert {"Accepted", "JobView", "JobList", "Deleted", "Health"} <= set(examples)
    for name, example in examples.items():
        model = next(getattr(each, name) for each in WIRES if hasattr(each, name))
        parsed = model.model_validate(example)
        assert parsed.model_extra == {}, name


async def test_the_documentation_is_served(server: Server) -> None:
    answer = await server.client.get("/docs")
    assert answer.status_code == 200
    assert "openapi.json" in answer.text


async def test_a_path_that_is_none_points_to_the_documentation(server: Server) -> None:
    answer = await server.client.get("/seperate%0A")
    detail = assert_problem(answer, 404, "not_found")
    assert "/docs" in detail
    assert "\n" not in detail


async def test_a_wrong_method_names_the_right_one(server: Server) -> None:
    answer = await server.client.get("/separate")
    assert "Use POST" in assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/job/1", "/analyze/1"])
async def test_a_wrong_method_names_the_methods_of_all_routes(
    server: Server, path: str
) -> None:
    answer = await server.client.put(path)
    detail = assert_problem(answer, 405, "method_not_allowed")
    assert detail == f'"{path}" does not support PUT. Use DELETE, GET or HEAD.'
    assert answer.headers["allow"] == "DELETE, GET, HEAD"


async def test_parts_do_not_get_in_each_other_s_way(server: Server) -> None:
    parts = [ApiPart(name, (), state={"store": name}) for name in ("a", "b")]
    with pytest.raises(ValueError, match="store is already set"):
        create_app(server.services, parts)
    with pytest.raises(ValueError, match="health is already set"):
        create_app(server.services, [ApiPart("a", (), state={"health": 1})])
