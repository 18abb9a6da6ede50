"""How fast a replica works, measured."""

from collections import deque

# Enough to even out single songs, few enough to follow another model or device.
_JOBS = 50


class Speed:
    """The speed at which jobs that ended last were computed; thread-safe."""

    def __init__(self) -> None:
        self._ended: deque[tuple[float, float]] = deque(maxlen=_JOBS)

    def add(self, audio_seconds: float, device_seconds: float) -> None:
        """Count a job: its audio, and its share of a device's time.

        One that took no time had the result of another.
        """
        if device_seconds > 0:
            self._ended.append((audio_seconds, device_seconds))

    def measured(self) -> float | None:
        """Return the audio seconds per second of a device; None before any job."""
        ended = tuple(self._ended)
        device_seconds = sum(device for _, device in ended)
        return sum(audio for audio, _ in ended) / device_seconds if ended else None
