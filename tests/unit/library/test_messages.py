"""A task is read from each form of a message, and rubbish is refused with a reason."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from serve_app.library.errors import NotATask
from serve_app.library.messages import parsed
from serve_app.library.task import TaskName
from tests import library
from tests.library import ANALYSIS, DUPLICATE, HASH, MIX, RUBBISH

TASKS = {
    TaskName.HASH: HASH,
    TaskName.DUPLICATE: DUPLICATE,
    TaskName.ANALYSIS: ANALYSIS,
    TaskName.MIX: MIX,
    TaskName.CLEANUP: {},
    TaskName.HEALTH: {},
}
FORMS: Mapping[str, Callable[[str, Mapping[str, Any], str], str]] = {
    "plain": library.message,
    "plain in base64": lambda *given: library.encoded(library.message(*given)),
    "celery 1": library.celery_1,
    "celery 2": library.celery_2,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", TASKS)
def test_each_form_of_each_task_is_the_same_task(name: TaskName, form: str) -> None:
    text = FORMS[form](name, TASKS[name], "the-id")
    task = parsed(text)
    assert (task.name, task.kwargs, task.task_id) == (name, TASKS[name], "the-id")
    assert task.message == text


@pytest.mark.parametrize("wrap", [str, library.encoded, lambda text: f"\ufeff {text}"])
def test_arguments_alone_are_the_task_to_hash(wrap: Callable[[str], str]) -> None:
    task = parsed(wrap(json.dumps(HASH)))
    assert (task.name, task.kwargs, task.task_id) == (TaskName.HASH, HASH, None)


def test_the_operators_tasks_have_no_module() -> None:
    assert parsed('{"task": "cleanup_temp_files"}').name == TaskName.CLEANUP
    assert parsed('{"task": "health_check", "id": ""}').task_id is None


@pytest.mark.parametrize("text", ["\\u0000", "a\\\\u0000"])
def test_a_text_that_only_looks_like_nul_is_a_text(text: str) -> None:
    given = {**HASH, "original_filename": text}
    assert parsed(library.message(TaskName.HASH, given)).kwargs == given


def test_unknown_fields_are_ignored() -> None:
    task = parsed(library.message(TaskName.HASH, {**HASH, "color": "red"}))
    assert task.kwargs == HASH


def test_values_stay_as_they_are() -> None:
    odd = {**HASH, "userId": None, "trackId": 17, "timestamp": ["x"]}
    assert parsed(library.message(TaskName.HASH, odd)).kwargs == odd


@pytest.mark.parametrize("path", ["a:b.wav", "/a", "ä b/ü.wav", "a//b", "c%20d", "..a"])
def test_any_key_of_a_bucket_is_a_key(path: str) -> None:
    task = parsed(library.message(TaskName.HASH, {**HASH, "filepath": path}))
    assert task.filepath == path


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(NotATask) as caught:
        parsed(RUBBISH[name])
    reason = caught.value.detail
    assert reason.endswith(".")
    assert 15 < len(reason) < 400


def test_the_reason_names_what_is_wrong() -> None:
    with pytest.raises(NotATask, match=r"`stemId` must be a text that is not empty"):
        parsed(RUBBISH["no stem"])
    with pytest.raises(NotATask, match=r"no task 'app\.tasks\.drop_all_tables'"):
        parsed(RUBBISH["an unknown task"])
