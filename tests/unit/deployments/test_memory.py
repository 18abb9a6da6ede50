"""Freed memory is given back again and again, by one thread of a process."""

import threading

import pytest

from deployments import memory
from serve_app.separation import allocator


def test_memory_is_given_back_regularly(monkeypatch: pytest.MonkeyPatch) -> None:
    given, often = [], threading.Event()

    def give_back() -> None:
        given.append(threading.current_thread().name)
        if len(given) == 3:
            often.set()

    monkeypatch.setattr(memory, "_PERIOD_SECONDS", 0.001)
    monkeypatch.setattr(allocator, "give_back", give_back)
    memory.keep_giving_back.cache_clear()
    memory.keep_giving_back()
    memory.keep_giving_back()
    assert often.wait(10)
    assert set(given) == {"memory"}
    threads = [one for one in threading.enumerate() if one.name == "memory"]
    assert len(threads) == 1
    assert threads[0].daemon
