"""Rhythm and keys as JSON for clients."""

from typing import Any

from serve_app.analysis.key import Key, Keys
from serve_app.analysis.rhythm import Rhythm


def rhythm(found: Rhythm) -> dict[str, Any]:
    """Return a rhythm as JSON, with numbers rounded."""
    body = {
        "bpm": round(found.bpm, 2),
        "bpm_confidence": round(found.bpm_confidence, 3),
        "bpm_alternatives": [
            {"bpm": round(bpm, 2), "share": round(share, 3)}
            for bpm, share in found.bpm_alternatives
        ],
        "meter": found.meter,
        "beats": [round(beat, 3) for beat in found.beats],
        "downbeats": [round(beat, 3) for beat in found.downbeats],
        "grid": None,
        "tempo_segments": [
            {
                "start_seconds": round(segment.start, 3),
                "end_seconds": round(segment.end, 3),
                "bpm": round(segment.bpm, 2),
            }
            for segment in found.segments
        ],
    }
    if found.grid is not None:
        body["grid"] = {
            "bpm": round(found.grid.bpm, 3),
            "first_beat_seconds": round(found.grid.first_beat_seconds, 4),
            "first_downbeat_seconds": round(found.grid.first_downbeat_seconds, 4),
            "drift_ms": round(found.grid.drift_ms, 1),
        }
    return body | ({"bpm_reason": found.reason} if found.reason else {})


def keys(found: Keys) -> dict[str, Any]:
    """Return keys as JSON; the main key's fields are at the top level."""
    body: dict[str, Any] = {
        **_names(found.key),
        "key_confidence": round(found.key.confidence, 3),
        "key_runner_up": None,
        "keys": [
            {
                "start_seconds": round(span.start_seconds, 3),
                "end_seconds": round(span.end_seconds, 3),
                **_names(span.key),
            }
            for span in found.timeline
        ],
        "tuning_hz": round(found.tuning_hz, 2),
    }
    if found.runner_up is not None:
        share = round(found.runner_up.confidence, 3)
        body["key_runner_up"] = {**_names(found.runner_up), "share": share}
    return body | ({"key_reason": found.reason} if found.reason else {})


def _names(key: Key) -> dict[str, str]:
    return {"key": key.name, "camelot": key.camelot, "open_key": key.open_key}
