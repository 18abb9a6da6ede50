"""The samples that a file has before its sound, which DJ programs count differently.

Lossy encoders put silence before the song. stemserve's decoder removes it if the file
states its length; some DJ programs do not. `docs/exports.md` has the sources.
"""

from dataclasses import dataclass
from pathlib import Path

from serve_app.audio import labels, mpeg

# The delay of every mp3 decoder's filter bank: 528 samples, and the first one.
_MP3_DECODER_SAMPLES = 529


@dataclass(frozen=True)
class CodecFacts:
    """How a file's coded samples relate to the samples that stemserve decodes.

    `coded_samples` is the number of samples in the frames, or None if all of them are
    decoded. `lead_samples` of them precede the first decoded one. `tag_samples` is the
    length of an mp3's tag frame if it were decoded as sound, or 0 without one. `case`
    is the row of the table in `docs/exports.md`: A has no tag frame, B one without
    LAME's extension, C one with a wrong checksum, D a complete one. It is empty for
    other codecs.
    """

    codec: str = ""
    sample_rate: int = 44_100
    lead_samples: int = 0
    coded_samples: int | None = None
    tag_samples: int = 0
    case: str = ""


def codec_facts(path: Path, codec: str, sample_rate: int) -> CodecFacts:
    """Read the facts of a song's file; `codec` and `sample_rate` are the decoder's."""
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
    # FFmpeg reads the delay from the tags of these three encoders only.
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
