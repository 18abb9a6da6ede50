"""Read a task from a message of a queue.

A message is the JSON that the producer sends, the arguments alone, or an envelope of
Celery: version 1 or 2 of its message protocol
(https://docs.celeryq.dev/en/stable/internals/protocol.html), in the form that kombu
gives to messages of SQS. Each may be encoded in base64.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Never

from serve_app.library import bodies, keys
from serve_app.library.errors import NotATask
from serve_app.library.task import Task, TaskName

_PREFIX = "app.tasks."
# NUL as JSON writes it: an even number of backslashes before it are no part of it.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_LONGEST_SHOWN = 80
_MOST_PEAKS = 1_000_000
_MOST_NESTED = 20
# The fields that are echoed in webhooks, and those that a task needs.
_FIELDS = (
    *("userId", "trackId", "stemId", "stageId", "upstreamId", "filepath"),
    *("timestamp", "original_filename", "audio_hash", "num_peaks", "stem_paths"),
)


def parsed(message: str) -> Task:
    """Return the task in a message; raise NotATask, with the reason, if there is none.

    Unknown fields are ignored. The values of known ones are kept as they are.
    """
    value = _json(message)
    if not isinstance(value, dict):
        raise NotATask("The message must be a JSON object.")
    if "body" in value and ("properties" in value or "headers" in value):
        return _enveloped(value, message)
    if "task" in value:
        return _task(value.get("task"), value, message)
    return _checked(TaskName.HASH, value, message, None)


def _json(message: str) -> Any:
    """Return the JSON value in a text, or in what the text encodes in base64."""
    text = message.strip().removeprefix("\ufeff").lstrip()
    if not text:
        raise NotATask("The message is empty.")
    if text[0] not in '{["':
        text = _decoded(text)
    return _loaded(text)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError) as err:
        raise NotATask("The message is neither JSON nor base64 of JSON.") from err


def _loaded(text: str) -> Any:
    def refuse(name: str) -> Never:
        raise ValueError(f"{name} is not JSON")

    try:
        value = json.loads(text, parse_constant=refuse)
        # Refuses halves of surrogate pairs, which no webhook could carry.
        encoded = json.dumps(value, ensure_ascii=False)
        encoded.encode()
    except (ValueError, RecursionError) as err:
        raise NotATask(f"The message is not valid JSON: {_short(str(err))}.") from err
    if _NUL.search(encoded):
        raise NotATask("The message has the character NUL, which databases refuse.")
    if _is_nested_more_than(_MOST_NESTED, value):
        raise NotATask(f"The message is nested more than {_MOST_NESTED} deep.")
    return value


def _is_nested_more_than(depth: int, value: Any) -> bool:
    """Return whether a value has more levels; a recursion could be too deep itself."""
    level = [value]
    for _ in range(depth + 1):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        level = inner
    # What is left has as many levels around it.
    return bool(level)


def _enveloped(envelope: Mapping[str, Any], message: str) -> Task:
    """Return the task in an envelope of Celery."""
    headers = _object(envelope.get("headers") or {}, "headers")
    properties = _object(envelope.get("properties") or {}, "properties")
    if headers.get("compression"):
        raise NotATask("The message is compressed. Send it without compression.")
    kind = envelope.get("content-type", "application/json")
    if kind != "application/json":
        raise NotATask(
            f"The message has the content type {_short(str(kind))}. Send JSON: set "
            "Celery's task_serializer to json."
        )
    body = envelope["body"]
    if isinstance(body, str):
        if properties.get("body_encoding") == "base64":
            body = _decoded(body)
        body = _json(body)
    if "task" not in headers:
        return _task(None, _object(body, "body"), message)
    if not isinstance(body, list) or len(body) < 2:
        raise NotATask("The body of the message must be [args, kwargs, options].")
    given = {"id": headers.get("id"), "args": body[0], "kwargs": body[1]}
    return _task(headers["task"], given, message)


def _task(name: Any, given: Mapping[str, Any], message: str) -> Task:
    if name is None:
        name = given.get("task")
    if not isinstance(name, str):
        raise NotATask("The message has no task name: `task` must be a text.")
    try:
        known = TaskName(name.removeprefix(_PREFIX))
    except ValueError:
        names = ", ".join(TaskName)
        raise NotATask(
            f"There is no task {_short(name)!r}. The tasks are {names}."
        ) from None
    if given.get("args"):
        raise NotATask("Positional arguments are not supported. Send `kwargs`.")
    found = given.get("kwargs")
    kwargs = _object({} if found is None else found, "kwargs")
    task_id = given.get("id")
    return _checked(known, kwargs, message, task_id if task_id else None)


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotATask(f"`{name}` of the message must be a JSON object.")
    return value


def _checked(
    name: TaskName, given: Mapping[str, Any], message: str, task_id: Any
) -> Task:
    kwargs = {field: given[field] for field in _FIELDS if field in given}
    for check in _CHECKS[name]:
        check(kwargs)
    task = Task(name, kwargs, message, None if task_id is None else str(task_id))
    if bodies.are_too_large(task):
        raise NotATask(
            f"The webhook of this task would have more than {bodies.MOST_BYTES} bytes, "
            "which its receiver refuses. Send fewer or shorter stem_paths and fields."
        )
    return task


def _check_id(field: str) -> Callable[[Mapping[str, Any]], None]:
    def check(kwargs: Mapping[str, Any]) -> None:
        keys.checked_id(kwargs.get(field), field)

    return check


def _check_key(kwargs: Mapping[str, Any]) -> None:
    keys.checked(kwargs.get("filepath"), "filepath")


def _check_stems(kwargs: Mapping[str, Any]) -> None:
    paths = kwargs.get("stem_paths")
    if not isinstance(paths, list) or not paths:
        raise NotATask("`stem_paths` must be a list with at least one key.")
    for path in paths:
        keys.checked(path, "stem_paths")


def _check_peaks(kwargs: Mapping[str, Any]) -> None:
    value = kwargs.get("num_peaks")
    if value is None:
        return
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not 1 <= value <= _MOST_PEAKS:
        raise NotATask(
            f"`num_peaks` must be a whole number from 1 to {_MOST_PEAKS}, got "
            f"{_short(json.dumps(value))}."
        )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


_OF_A_STEM = (_check_id("stemId"), _check_key)
_CHECKS: Mapping[TaskName, tuple[Callable[[Mapping[str, Any]], None], ...]] = {
    TaskName.HASH: _OF_A_STEM,
    TaskName.DUPLICATE: _OF_A_STEM,
    TaskName.ANALYSIS: (*_OF_A_STEM, _check_peaks),
    TaskName.MIX: (_check_id("stageId"), _check_stems),
    TaskName.CLEANUP: (),
    TaskName.HEALTH: (),
}
