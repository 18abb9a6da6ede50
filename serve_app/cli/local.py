"""Separate and analyse songs in this process, without a server."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve_app.audio import formats
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.cli.configuration import read_settings
from serve_app.cli.parallel import Interrupt, Track
from serve_app.cli.progress import Display
from serve_app.cli.work import Analyzer, BpmRange, Separated, SeparateOptions, Separator
from serve_app.separation.engine import Engine
from serve_app.separation.models import ModelSpec
from serve_app.stems.http.form_options import choose
from serve_app.stems.http.services import ModelInfo
from serve_app.stems.reporter import heard
from serve_app.stems.request import Options

_ANALYSES_AT_ONCE = 2
_ETA_FROM = 0.02


@contextmanager
def separator(
    options: SeparateOptions, display: Display, interrupt: Interrupt
) -> Iterator[Separator]:
    """Yield a separator with its model loaded.

    Raises InvalidInput for an unknown model, stem or format.
    """
    from serve_app.stems.engines import load_engine

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    settings = read_settings()
    bar = display.bar("loading the model")
    engine = load_engine(settings, options.model or settings.model)
    bar.close()
    try:
        local = _LocalSeparator(
            engine,
            _options(options, engine.spec),
            AudioLimits(settings.max_duration_seconds, settings.max_audio_values),
            interrupt,
        )
        yield Separator(local.separate, settings.songs_at_once)
    finally:
        engine.close()


@contextmanager
def analyzer(
    display: Display, interrupt: Interrupt, bpm_range: BpmRange
) -> Iterator[Analyzer]:
    """Yield an analyzer with its beat tracker loaded."""
    from serve_app.stems import beats

    settings = read_settings()
    bar = display.bar("loading")
    make_listener = beats.listener_maker(settings)
    bar.close()
    limits = AudioLimits(settings.max_duration_seconds, settings.max_audio_values)

    def analyze(song: Path, track: Track) -> Mapping[str, Any]:
        track.show("reading the song", 0.0)
        measure(song, limits)
        track.show("analysing", 0.5)
        return heard(song, make_listener, interrupt.event).finish(bpm_range).to_dict()

    yield Analyzer(analyze, _ANALYSES_AT_ONCE)


def _options(options: SeparateOptions, spec: ModelSpec) -> Options:
    """Check the options by the rules of the API."""
    model = ModelInfo(
        name=spec.name,
        sources=spec.sources,
        sample_rate=spec.sample_rate,
        trained_on=spec.trained_on,
        licence=spec.licence,
        licences=spec.licences,
        description=spec.description,
    )
    fields = {**options.fields, "model": spec.name}
    return choose(list(fields.items()), [model], spec.name)


@dataclass(frozen=True)
class _LocalSeparator:
    """Separates the songs of one run."""

    engine: Engine
    options: Options
    limits: AudioLimits
    interrupt: Interrupt

    def separate(self, song: Path, directory: Path, track: Track) -> Separated:
        """Separate a song into files in `directory`."""
        from serve_app.stems import stem_tags
        from serve_app.stems.pipeline import SongTask, separate_song

        track.show("reading the song", 0.0)
        facts = measure(song, self.limits)
        task = SongTask(
            source=song,
            facts=facts,
            stems=self.options.stems,
            format=formats.parse(self.options.format),
            directory=directory,
        )
        began = time.monotonic()

        def show(done: float) -> None:
            took = time.monotonic() - began
            # Earlier estimates are too inaccurate.
            left = took * (1.0 - done) / done if done >= _ETA_FROM else None
            track.show("separating", done, left)

        separated = separate_song(self.engine, task, show, self.interrupt.event)
        stem_tags.write(separated.paths, song, facts)
        return Separated(
            files=list(separated.paths.values()),
            model=self.engine.spec.name,
            gain=separated.gain,
            duration_seconds=facts.samples / facts.sample_rate,
        )
