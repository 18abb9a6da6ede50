"""Make a load with one thread for each client: `python -m tools.load.plain`."""

import threading
import time

from tools.load.clients import Client, all_clients
from tools.load.run import Run

_STACK_BYTES = 1 << 18
# A client that waits for a response at the end is left alone after this time.
_END_SECONDS = 5.0


def repeat(client: Client, begins_at: float, stop: threading.Event) -> None:
    """Let a client make its steps, one each period, until it is told to stop.

    A client that is late makes its next step at once, so that the rate stays.
    """
    due = begins_at
    while not stop.wait(max(0.0, due - time.monotonic())):
        client.step()
        due = max(due + client.period_seconds, time.monotonic() - client.period_seconds)


def main() -> None:
    """Make the load that the environment describes."""
    run = Run.from_environment()
    shared = run.shared()
    began, profile = time.monotonic(), shared.profile
    ends_at = began + profile.ramp_seconds + profile.duration_seconds
    threading.stack_size(_STACK_BYTES)
    threads, stop = [], threading.Event()
    for kind, count in all_clients(profile):
        for number in range(count):
            client: Client = kind(shared)
            # Evenly over the ramp or the period, whichever is longer: never in step.
            spread = max(profile.ramp_seconds, client.period_seconds)
            begins_at = began + spread * number / count
            arguments = (client, begins_at, stop)
            threads.append(threading.Thread(target=repeat, args=arguments, daemon=True))
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, ends_at - time.monotonic()))
    stop.set()
    run.write("plain", shared.recorder)
    for thread in threads:
        thread.join(max(0.0, ends_at + _END_SECONDS - time.monotonic()))


if __name__ == "__main__":
    main()
