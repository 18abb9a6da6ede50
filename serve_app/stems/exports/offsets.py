"""Where a song starts for each DJ program, beside where it starts for us.

All of this is about what stands before the sound of an mp3 or an m4a; other files
start at one place for all. `docs/exports.md` names the sources and says what could not
be checked.
"""

from serve_app.stems.exports.codec_facts import CodecFacts

PROGRAMS = ("rekordbox", "traktor", "serato", "mixxx")

# Which mp3s' tag frame a program plays as if it were sound.
_PLAYS_TAG_FRAME = {
    "rekordbox": ("D",),
    "traktor": ("B", "C", "D"),
    "serato": ("B", "C", "D"),
    "mixxx": (),
}
# The programs that play what an AAC encoder put before the song.
_PLAYS_AAC_LEAD = ("rekordbox",)


def offset_samples(program: str, facts: CodecFacts) -> int:
    """Return how many samples later `program` counts the same sound than we do.

    ValueError when `program` is none of PROGRAMS.
    """
    if program not in PROGRAMS:
        raise ValueError(f"{program!r} must be one of {', '.join(PROGRAMS)}")
    if facts.codec.startswith("mp3"):
        plays_tag = facts.case in _PLAYS_TAG_FRAME[program]
        return facts.lead_samples + (facts.tag_samples if plays_tag else 0)
    if facts.codec == "aac" and program in _PLAYS_AAC_LEAD:
        return facts.lead_samples
    return 0


def offset_seconds(program: str, facts: CodecFacts) -> float:
    """Return what `offset_samples` does, in seconds."""
    return offset_samples(program, facts) / facts.sample_rate
