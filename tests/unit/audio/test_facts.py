from serve_app.audio.facts import AudioFacts


def test_the_duration_follows_from_samples_and_rate() -> None:
    facts = AudioFacts(48_000, 2, 72_000, 0.0, 0.1, 0.5, "flac", "ab")
    assert facts.duration_seconds == 1.5
