"""The most disk space that a job can take."""

from collections.abc import Collection

from serve_app.stems.request import Options, Source

_CHANNELS = 2
_FLOAT_BYTES = 4
# By format. FLAC of noise is as large as its samples.
_SAMPLE_BYTES = {"wav": 2, "wav24": 3, "wav32f": 4, "flac": 3}
_COMPRESSED_SAMPLE_BYTES = 1
# A cover of 1 MiB and texts; some formats encode them a third longer.
_TAGS_BYTES = 2 * 2**20
# Adjacent windows overlap by up to an eighth, and each is stored whole.
_OVERLAP = 8 / 7


def most_stored_bytes(source: Source, options: Options) -> int:
    """Return the most bytes of the song and its stems, which a job keeps at its end.

    Compressed formats are taken as half of 16-bit samples, which few songs exceed.
    """
    sample_bytes = _SAMPLE_BYTES.get(options.format, _COMPRESSED_SAMPLE_BYTES)
    tags = min(2 * source.size_bytes, _TAGS_BYTES)
    stem = source.samples * _CHANNELS * sample_bytes + tags
    return source.size_bytes + stem * len(options.stems)


def disk_bytes(
    source: Source, options: Options, sources: Collection[str], sample_rate: int
) -> int:
    """Return the most bytes that a job takes on disks, working files included.

    `sources` and `sample_rate` are the model's. The bound assumes stems of 32-bit
    floats, the largest format, and that all windows are kept until the stems are
    stored.
    """
    frame_bytes = _CHANNELS * _FLOAT_BYTES
    window_frames = source.duration_seconds * sample_rate * _OVERLAP
    windows = window_frames * frame_bytes * len(sources)
    # Three copies of a stem: unclipped samples before the gain, the file, its storage.
    tags = min(2 * source.size_bytes, _TAGS_BYTES)
    stem = source.samples * frame_bytes + tags
    stems = 3 * stem * len(options.stems)
    return round(2 * source.size_bytes + windows + stems)
