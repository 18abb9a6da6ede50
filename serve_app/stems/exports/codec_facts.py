"""What a song's file adds before its sound, by which programs count time differently.

Lossy encoders put silence before the song. Our decoder leaves it out where the file
says how much there is; DJ programs do so or don't. `docs/exports.md` has the sources.
"""

from dataclasses import dataclass
from pathlib import Path

from serve_app.audio import labels, mpeg

# What every mp3 decoder's filter bank adds: 528 samples and the one it starts with.
_MP3_DECODER_SAMPLES = 529


@dataclass(frozen=True)
class CodecFacts:
    """How a file's coded samples lie to the samples of our decoding.

    `coded_samples` is how many the frames hold, None where that is as many as we
    decode. `lead_samples` of them come before our first one. `tag_samples` is the
    length of an mp3's tag frame, decoded as if it were sound, 0 without one. `case` is
    that of the table in `docs/exports.md`: A has no such frame, B has one without
    LAME's part, C one whose check is wrong, D a whole one. It is empty for other
    codecs.
    """

    codec: str = ""
    sample_rate: int = 44_100
    lead_samples: int = 0
    coded_samples: int | None = None
    tag_samples: int = 0
    case: str = ""


def codec_facts(path: Path, codec: str, sample_rate: int) -> CodecFacts:
    """Read the facts of a song's file; `codec` and `sample_rate` as decoding told."""
    if codec.startswith("mp3"):
        return _mp3(path, codec, sample_rate)
    if codec == "aac":
        lead = labels.read(path).lead_samples
        return CodecFacts(codec, sample_rate, lead)
    return CodecFacts(codec, sample_rate)


def _mp3(path: Path, codec: str, sample_rate: int) -> CodecFacts:
    tag = mpeg.info_tag(path)
    if tag is None:
        return CodecFacts(codec, sample_rate, case="A")
    # FFmpeg takes the delay from all three encoders' tags, and none from others.
    is_stated = tag.encoder.startswith(("LAME", "Lavf", "Lavc"))
    return CodecFacts(
        codec,
        tag.sample_rate,
        lead_samples=tag.delay + _MP3_DECODER_SAMPLES if is_stated else 0,
        coded_samples=tag.frames * tag.frame_samples,
        tag_samples=tag.frame_samples,
        case=_case(tag),
    )


def _case(tag: mpeg.InfoTag) -> str:
    if not tag.encoder.startswith("LAME"):
        return "B"
    return "D" if tag.is_check_valid else "C"
