"""Messages of the library's producer, as its contract has them."""

import base64
import json
from collections.abc import Mapping
from typing import Any

STEM_ID = "5f0c3f5e-0d2b-4a57-9a52-2f0a2a9b1c11"
STAGE_ID = "0a6f6d0e-4f2e-4a8b-8f43-5a0a0b9e7d22"

HASH = {
    "userId": "7d3b5d2e-98a4-4c59-8e0c-8a3b2f1d0e33",
    "trackId": "c1a9d0f4-7c1b-4a5e-9b6d-3e2f1a0b9c44",
    "stemId": STEM_ID,
    "stageId": STAGE_ID,
    "filepath": "audio/2026-01-02T03:04:05/킥 드럼.wav",
    "timestamp": "2026-01-02T03:04:05.678Z",
    "original_filename": "킥 드럼.wav",
}
ANALYSIS = {
    **{name: value for name, value in HASH.items() if name != "stageId"},
    "audio_hash": None,
    "num_peaks": 4000,
}
DUPLICATE = {
    name: HASH[name] for name in ("userId", "trackId", "stemId", "filepath")
} | {"audio_hash": "00" * 32}
MIX = {
    "stageId": STAGE_ID,
    "upstreamId": None,
    "stem_paths": ["audio/one.wav", "audio/two.wav"],
}


def message(name: str, kwargs: Mapping[str, Any], task_id: str = "hash-a-1") -> str:
    """Return a message as the producer sends it."""
    return json.dumps(
        {"task": f"app.tasks.{name}", "id": task_id, "args": [], "kwargs": kwargs}
    )


def encoded(text: str) -> str:
    """Return a text in base64."""
    return base64.b64encode(text.encode()).decode()


def celery_1(name: str, kwargs: Mapping[str, Any], task_id: str = "a-1") -> str:
    """Return a message of Celery's protocol 1, as kombu puts it into SQS."""
    body = {"task": f"app.tasks.{name}", "id": task_id, "args": [], "kwargs": kwargs}
    return _envelope({}, json.dumps({**body, "retries": 0, "eta": None}))


def celery_2(name: str, kwargs: Mapping[str, Any], task_id: str = "a-1") -> str:
    """Return a message of Celery's protocol 2, as kombu puts it into SQS."""
    headers = {"lang": "py", "task": f"app.tasks.{name}", "id": task_id, "retries": 0}
    return _envelope(headers, json.dumps([[], kwargs, {"callbacks": None}]))


def _envelope(headers: Mapping[str, Any], body: str) -> str:
    envelope = {
        "body": encoded(body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "delivery_mode": 2,
            "delivery_tag": "6f7a1b1e-0b5e-4b3a-8f8e-7a0f0c9d8e55",
        },
    }
    return encoded(json.dumps(envelope))


def _nested(depth: int) -> str:
    """Return a task to hash with a value that is nested so deep."""
    nested = "[" * depth + "]" * depth
    return message("generate_hash_and_webhook", HASH)[:-2] + f', "x": {nested}}}}}'


# What is no task, by what is wrong with it.
RUBBISH = {
    "not json": "hello",
    "cut short": message("generate_hash_and_webhook", HASH)[:-3],
    "blank": "   ",
    "a number": "17",
    "a list": "[1, 2]",
    "null": "null",
    "bytes in base64": encoded("\x00\x01"),
    "an unknown task": message("drop_all_tables", HASH),
    "a task that is no text": json.dumps({"task": 5, "kwargs": HASH}),
    "kwargs that are a list": json.dumps(
        {"task": "app.tasks.generate_hash_and_webhook", "kwargs": [1]}
    ),
    "positional arguments": json.dumps(
        {"task": "app.tasks.generate_hash_and_webhook", "args": ["a"], "kwargs": HASH}
    ),
    "no stem": message("generate_hash_and_webhook", {"filepath": "a.wav"}),
    "a stem that is null": message(
        "process_audio_analysis", {**ANALYSIS, "stemId": None}
    ),
    "an empty stem": message("process_duplicate_file", {**DUPLICATE, "stemId": ""}),
    "a stem that is a path": message(
        "process_audio_analysis", {**ANALYSIS, "stemId": "../../stems"}
    ),
    "a stem with a line break": message(
        "process_audio_analysis", {**ANALYSIS, "stemId": "a\nb"}
    ),
    "a stem that is too long": message(
        "process_audio_analysis", {**ANALYSIS, "stemId": "é" * 81}
    ),
    "NUL": message("generate_hash_and_webhook", {**HASH, "userId": "\0"}),
    "NUL in a content type": json.dumps(
        {"body": "{}", "content-type": "\0", "headers": {}, "properties": {}}
    ),
    "an id that is too long": message("generate_hash_and_webhook", HASH, "a" * 100_000),
    "no file": message("process_audio_analysis", {"stemId": STEM_ID}),
    "a url": message("generate_hash_and_webhook", {**HASH, "filepath": "s3://b/a.wav"}),
    "a path outside": message(
        "process_duplicate_file", {**DUPLICATE, "filepath": "../other/a.wav"}
    ),
    "a key that is too long": message(
        "generate_hash_and_webhook", {**HASH, "filepath": "é" * 513}
    ),
    "no peaks": message("process_audio_analysis", {**ANALYSIS, "num_peaks": 0}),
    "peaks in words": message(
        "process_audio_analysis", {**ANALYSIS, "num_peaks": "many"}
    ),
    "no stage": message("mix_stems_and_upload", {"stem_paths": ["a.wav"]}),
    "no stems": message("mix_stems_and_upload", {**MIX, "stem_paths": []}),
    "a stem path that is null": message(
        "mix_stems_and_upload", {**MIX, "stem_paths": ["a.wav", None]}
    ),
    "not a number": '{"stemId": "a", "filepath": "a", "num_peaks": NaN}',
    "half a character": '{"stemId": "\\ud800", "filepath": "a"}',
    "nested too deep": "[" * 100_000,
    **{f"nested {depth} deep": _nested(depth) for depth in (20, 480, 900, 5_000)},
    "an object nested too deep": '{"a":' * 900 + "1" + "}" * 900,
    "kwargs that are an empty list": json.dumps({"task": "health_check", "kwargs": []}),
    "a webhook that is too large": message(
        "mix_stems_and_upload",
        {**MIX, "stem_paths": [f"audio/{n:090}.wav" for n in range(1_000)]},
    ),
    "a pickle": encoded(
        json.dumps(
            {
                "body": encoded("x"),
                "content-type": "application/x-python-serialize",
                "headers": {"task": "app.tasks.health_check"},
                "properties": {"body_encoding": "base64"},
            }
        )
    ),
}
