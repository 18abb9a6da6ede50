"""The offset of each DJ program's time from the time of stemserve's decoder.

Only mp3 and m4a have an offset: the samples before the sound. `docs/exports.md` has
the sources, and says what could not be checked.
"""

from serve_app.stems.exports.codec_facts import CodecFacts

PROGRAMS = ("rekordbox", "traktor", "serato", "mixxx")

# The cases of mp3s whose tag frame a program plays as sound; see `CodecFacts.case`.
_PLAYS_TAG_FRAME = {
    "rekordbox": ("D",),
    "traktor": ("B", "C", "D"),
    "serato": ("B", "C", "D"),
    "mixxx": (),
}
# The programs that play the silence an AAC encoder put before the song.
_PLAYS_AAC_LEAD = ("rekordbox",)


def offset_samples(program: str, facts: CodecFacts) -> int:
    """Return by how many samples a sound is later in `program` than in our decoding.

    Raises ValueError if `program` is not one of PROGRAMS.
    """
    if program not in PROGRAMS:
        raise ValueError(
            f"program must be one of {', '.join(PROGRAMS)}, got {program!r}"
        )
    if facts.codec.startswith("mp3"):
        plays_tag = facts.case in _PLAYS_TAG_FRAME[program]
        return facts.lead_samples + (facts.tag_samples if plays_tag else 0)
    if facts.codec == "aac" and program in _PLAYS_AAC_LEAD:
        return facts.lead_samples
    return 0


def offset_seconds(program: str, facts: CodecFacts) -> float:
    """Return `offset_samples` in seconds."""
    return offset_samples(program, facts) / facts.sample_rate
