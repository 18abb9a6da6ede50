import asyncio
import threading

import pytest

from serve_app.api import threads

pytestmark = pytest.mark.anyio


async def test_the_result_and_the_error_of_the_work_come_back() -> None:
    assert await threads.run_in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run_in_thread(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_caller_goes_on_after_the_work_has_ended(fails: bool) -> None:
    started, may_end, has_ended = (threading.Event() for _ in range(3))

    def work() -> None:
        started.set()
        may_end.wait(5)
        has_ended.set()
        if fails:
            raise OSError

    task = asyncio.create_task(threads.run_in_thread(work))
    await asyncio.to_thread(started.wait, 5)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert has_ended.is_set()
