"""Tests of the messages for invalid parameters."""

import pytest

from tests.unit.server import Server, assert_problem

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/job/1?wait=-5", '"wait" must be from 0 to 60, got -5.'),
        ("/job/1?wait=x", "\"wait\" must be a number from 0 to 60, got 'x'."),
        ("/jobs?limit=0", '"limit" must be from 1 to 1000, got 0.'),
        (
            "/jobs?limit=1.5",
            "\"limit\" must be a whole number from 1 to 1000, got '1.5'.",
        ),
        (
            f"/jobs?limit={'x' * 99}",
            f"\"limit\" must be a whole number from 1 to 1000, got '{'x' * 40}'.",
        ),
        (
            "/job/1/export",
            '"format" is required: one of rekordbox, cue, mixxx, stem.mp4, '
            "stem.mp4-alac, serato.",
        ),
        (
            "/job/1/stems/drums?follow=maybe",
            "\"follow\" must be true or false, got 'maybe'.",
        ),
        (
            "/job/1/analysis?format=gif",
            "\"format\" must be one of json, png, svg; got 'gif'.",
        ),
        ("/job/1/waveform?start=-1", '"start" must be at least 0, got -1.'),
        (
            "/job/1/waveform?pixels_per_second=0&width=1",
            '"width" must be from 16 to 4096, got 1. '
            '"pixels_per_second" must be from 0.01 to 300, got 0.',
        ),
    ],
)
async def test_a_parameter_is_named_with_its_value_and_what_is_allowed(
    server: Server, path: str, said: str
) -> None:
    answer = await server.client.get(path)
    assert assert_problem(answer, 422, "invalid_input") == said


async def test_the_place_and_the_kind_of_an_error_are_pydantics(server: Server) -> None:
    (error,) = (await server.client.get("/job/1?wait=-5")).json()["errors"]
    assert error == {
        "loc": ["query", "wait"],
        "msg": '"wait" must be from 0 to 60, got -5.',
        "type": "greater_than_equal",
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "The body must be a JSON object, got a list."),
        (b"", "The request has no body. Send a JSON object."),
        (b"{}", '"size_bytes" is required.'),
        (b'{"size_bytes": 0}', '"size_bytes" must be at least 1, got 0.'),
        (b'{"size_bytes": 5, "c": 1}', '"c" is not a known field.'),
        (
            b'{"size_bytes": 5, "filename": 5}',
            '"filename" must be a valid string, got 5.',
        ),
        (
            b'{"size_bytes": {}}',
            '"size_bytes" must be a whole number, got an object.',
        ),
    ],
)
async def test_a_field_of_a_body_is_named_too(
    server: Server, body: bytes, said: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = await server.client.post("/uploads", content=body, headers=headers)
    assert assert_problem(answer, 422, "invalid_input") == said


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"filename": "\xff"}', b"[" * 100_000, b'{"size_bytes": 1e}'],
    ids=["cut", "not UTF-8", "too deep", "no number"],
)
async def test_what_is_not_json_is_a_bad_request(server: Server, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await server.client.post("/uploads", content=body, headers=headers)
    said = assert_problem(answer, 400, "bad_request")
    assert said == "The body is not valid JSON. Correct it and send it again."


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", None]
)
async def test_json_that_is_sent_as_something_else_is_refused(
    server: Server, kind: str | None
) -> None:
    headers = {"content-type": kind} if kind else {}
    body = b'{"size_bytes": 5}'
    answer = await server.client.post("/uploads", content=body, headers=headers)
    said = assert_problem(answer, 422, "invalid_input")
    assert said == (
        "The body must be a JSON object, sent with Content-Type: application/json."
    )
