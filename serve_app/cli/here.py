"""Songs worked on by this process, without a server."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from serve_app.api.options import choose
from serve_app.api.services import ModelInfo
from serve_app.audio import formats
from serve_app.audio.decode import read_blocks
from serve_app.audio.limits import AudioLimits
from serve_app.audio.measure import measure
from serve_app.cli.board import Board
from serve_app.cli.configuration import read_settings
from serve_app.cli.crew import Crew, Interrupt, Track
from serve_app.cli.separation import Order, Separated
from serve_app.jobs.job import Options
from serve_app.separation.engine import Engine
from serve_app.separation.models import ModelSpec

_ANALYSES_AT_ONCE = 2


def separate(places: Mapping[Path, Path], order: Order) -> int:
    """Separate songs into their places; return how many failed.

    Raises InvalidInput for a model, stem or format that there is not.
    """
    from serve_app.engines import load_engine

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    settings = read_settings()
    interrupt = Interrupt()
    with Board() as board:
        bar = board.bar("loading the model")
        engine = load_engine(settings, order.model or settings.model)
        bar.close()
        try:
            bench = _Bench(
                engine,
                _options(order, engine.spec),
                AudioLimits(settings.max_duration_seconds),
                interrupt,
            )

            def work(song: Path, track: Track) -> None:
                board.say(str(bench.separate(song, places[song], track)))

            done = Crew(board, interrupt, work, settings.songs_at_once).run(places)
        finally:
            engine.close()
    return len(places) - len(done)


def analyze(songs: Iterable[Path]) -> Mapping[Path, Mapping[str, Any]]:
    """Analyse songs; those that failed are named and left out."""
    from serve_app.analysis import song as analysis

    limits = AudioLimits(read_settings().max_duration_seconds)

    def work(song: Path, track: Track) -> Mapping[str, Any]:
        track.show("decoding", 0.0)
        facts = measure(song, limits)
        track.show("analysing", 0.5)
        blocks = read_blocks(song)
        found = analysis.analyze(blocks, facts.sample_rate, facts.samples)
        return found.to_dict()

    with Board() as board:
        bar = board.bar("loading")
        analysis.warm_up()
        bar.close()
        return Crew(board, Interrupt(), work, _ANALYSES_AT_ONCE).run(songs)


def _options(order: Order, spec: ModelSpec) -> Options:
    """Read an order by the same rules as the API does."""
    model = ModelInfo(
        name=spec.name,
        sources=spec.sources,
        sample_rate=spec.sample_rate,
        trained_on=spec.trained_on,
        licence=spec.licence,
        licences=spec.licences,
        description=spec.description,
    )
    fields = {**order.fields, "model": spec.name}
    return choose(list(fields.items()), [model], spec.name)


@dataclass(frozen=True)
class _Bench:
    """What all songs of one run are separated with."""

    engine: Engine
    options: Options
    limits: AudioLimits
    interrupt: Interrupt

    def separate(self, song: Path, place: Path, track: Track) -> Separated:
        """Separate a song; its stems appear in `place` when all are whole."""
        from serve_app.pipeline import SongTask, separate_song

        track.show("decoding", 0.0)
        facts = measure(song, self.limits)
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", suffix=".part", dir=place) as directory:
            task = SongTask(
                source=song,
                facts=facts,
                stems=self.options.stems,
                format=formats.parse(self.options.format),
                directory=Path(directory),
            )
            separated = separate_song(
                self.engine,
                task,
                lambda done: track.show("separating", done),
                self.interrupt.event,
            )
            files = [
                path.replace(place / path.name) for path in separated.paths.values()
            ]
        return Separated(files, self.engine.spec.name, separated.gain)
