"""The guarantees of the demo model's training tools."""

import datetime
import io
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torchaudio.models import HDemucs

from serve_app.separation import networks
from tools.demo_training import (
    arranging,
    borrowing,
    composing,
    exporting,
    heldout,
    midi,
    mixing,
    objective,
    rendering,
    scoring,
    singing,
    songs,
    styles,
    training,
    varying,
)
from tools.demo_training.initial_weights import pass_through
from tools.demo_training.notes import Harmony, Note

SEEDS = range(20)
CROP = 16_384


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread in torch: steps are small, and the machine may be busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _network() -> HDemucs:
    torch.manual_seed(0)
    return networks.demo(songs.SOURCES)


def _folder_of_songs(folder: Path, count: int = 2) -> Path:
    rng = np.random.default_rng(0)
    for number in range(count):
        stems = rng.normal(0, 2_000, size=(4, 2, 3 * CROP)).astype(np.int16)
        np.save(folder / f"{number}.npy", stems)
    return folder


@pytest.mark.parametrize("seed", [0, 1, 12_345])
def test_a_seed_always_composes_the_same_song(seed: int) -> None:
    assert composing.compose(seed) == composing.compose(seed)
    assert composing.compose(seed) != composing.compose(seed + 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_song_has_notes_for_every_stem(seed: int) -> None:
    song = composing.compose(seed)
    for stem in songs.SOURCES[:3]:
        assert any(part.notes for part in song.parts if part.stem == stem)


@pytest.mark.parametrize("seed", SEEDS)
def test_notes_are_midi(seed: int) -> None:
    for part in composing.compose(seed).parts:
        assert all(0 <= note.pitch <= 127 for note in part.notes)
        assert all(0 < note.velocity <= 127 for note in part.notes)
        assert all(note.start_beats >= 0 for note in part.notes)


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_bass_plays_bass_programs(seed: int) -> None:
    for part in composing.compose(seed).parts:
        if part.stem != "drums":
            is_bass = part.program in styles.BASS_PROGRAMS
            assert is_bass == (part.stem == "bass")


def test_half_of_the_songs_are_sung() -> None:
    sung = sum(bool(composing.compose(seed).sung) for seed in range(60))
    assert 15 < sung < 45


def test_a_degree_lands_in_the_octave_over_the_lowest_pitch() -> None:
    harmony = Harmony(9, styles.SCALES["minor"], (0,), 3)
    assert all(40 <= harmony.near(degree, 40, 0) < 52 for degree in range(-9, 9))
    assert harmony.near(7, 40, 7) == harmony.near(0, 40, 0) + 12


def test_midi_files_hold_all_notes_at_the_song_s_tempo() -> None:
    song = composing.compose(3)
    parts = [part for part in song.parts if part.stem == "other"]
    messages = list(rendering.midi(song, parts).tracks[0])
    tempo = next(one.tempo for one in messages if one.type == "set_tempo")
    assert mido.tempo2bpm(tempo) == pytest.approx(song.bpm, abs=0.01)
    struck = sum(one.type == "note_on" for one in messages)
    assert struck == sum(len(part.notes) for part in parts)


@pytest.mark.parametrize("seed", range(4))
def test_voices_sing_the_line_and_rest_after_it(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(singing, "_espeak", singing._formants)  # Not all have espeak.
    line = [Note(0.0, 0.5, 60, 100), Note(1.0, 0.5, 64, 100)]
    sung = singing.sing(np.random.default_rng(seed), line, 60.0, 3 * 44_100)
    assert sung.shape == (2, 3 * 44_100)
    assert np.isfinite(sung).all()
    assert np.abs(sung[:, :22_050]).max() > 0.1
    assert not sung[:, 2 * 44_100 :].any()


def test_an_unsung_song_has_silent_vocals() -> None:
    assert not singing.sing(np.random.default_rng(0), [], 60.0, 1_000).any()


def test_examples_are_the_same_for_a_seed(tmp_path: Path) -> None:
    recipe = mixing.Recipe(_folder_of_songs(tmp_path), CROP)
    first, again, other = (
        next(iter(mixing.Examples(recipe, seed))) for seed in (1, 1, 2)
    )
    assert first.shape == (4, 2, CROP)
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_examples_are_loud_enough_to_learn_from(tmp_path: Path) -> None:
    recipe = mixing.Recipe(_folder_of_songs(tmp_path), CROP)
    for seed in range(20):
        stems = mixing.example(np.random.default_rng(seed), recipe)
        assert np.isfinite(stems).all()
        mono = stems.sum(0).mean(0)
        assert mono.std() == pytest.approx(1.0, abs=0.01) or not stems.any()


def test_an_offset_is_slow_and_fainter_than_its_stem() -> None:
    rng = np.random.default_rng(0)
    stem = rng.normal(size=(2, 44_100))
    added = mixing._offset(rng, stem) - stem
    assert 0 < added.std() < 0.6 * stem.std()
    assert np.abs(np.diff(added)).max() < 0.02 * np.abs(added).max()


def test_mixing_without_songs_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="render"):
        mixing.example(np.random.default_rng(0), mixing.Recipe(tmp_path, CROP))


def test_the_loss_is_least_for_the_stems_themselves() -> None:
    stems = torch.randn(2, 4, 2, 1_000, generator=torch.Generator().manual_seed(0))
    perfect = objective.loss(stems, stems)
    assert perfect < objective.loss(stems + 0.1, stems) < objective.loss(-stems, stems)


def test_the_loss_of_silent_stems_is_finite() -> None:
    stems = torch.zeros(1, 4, 2, 1_000)
    assert objective.loss(stems + 0.1, stems).isfinite()


def test_the_beginning_hands_the_mix_on() -> None:
    network = _network()
    pass_through(network, 2)
    mix = torch.randn(1, 2, 32_768, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stems = network(mix)[0]
    assert (stems[2] - mix[0]).std() < 0.1
    assert all(stems[other].std() < 0.1 for other in (0, 1, 3))


def test_the_loss_of_one_batch_goes_down(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plan = training.Plan(
        mixing.Recipe(tmp_path, CROP), tmp_path, 1e6, warm_up_steps=1, rate=1e-3
    )
    trainer = training.Trainer(plan)
    stems = torch.randn(1, 4, 2, CROP)
    stems[:, 1] = 3 * torch.sin(0.01 * torch.arange(CROP))
    losses = [trainer.step(stems) for _ in range(6)]
    assert losses[-1] < losses[0] - 0.02


def test_a_run_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    plan = training.Plan(mixing.Recipe(tmp_path, CROP), tmp_path, 1e6)
    trainer = training.Trainer(plan)
    trainer.step(torch.randn(1, 4, 2, CROP))
    trainer.progress = training.Progress(1, 2.5)
    trainer.save()
    resumed = training.Trainer(plan)
    resumed.resume()
    assert resumed.progress == training.Progress(1, 2.5)
    for name, value in trainer.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name])


def test_a_run_can_begin_with_exported_weights(tmp_path: Path) -> None:
    target = tmp_path / "demo.safetensors"
    weights = _network().state_dict()
    exporting.export(weights, target, steps=7, today=datetime.date(2026, 1, 2))
    trainer = training.Trainer(
        training.Plan(mixing.Recipe(tmp_path, CROP), tmp_path, 1e6)
    )
    trainer.start_from(target)
    for network in (trainer.network, trainer.average):
        for name, value in network.state_dict().items():
            assert torch.equal(value, weights[name].half().float())


def test_the_rate_warms_up_and_falls_to_its_last(tmp_path: Path) -> None:
    plan = training.Plan(mixing.Recipe(tmp_path, CROP), tmp_path, 100.0)
    rates = [
        training.rate(plan, training.Progress(steps, seconds))
        for steps, seconds in ((0, 0.0), (500, 10.0), (900, 50.0), (999, 100.0))
    ]
    assert rates[0] < rates[1] > rates[2] > rates[3]
    assert rates[3] == pytest.approx(plan.rate * plan.final_rate)


def test_exported_weights_load_and_are_small(tmp_path: Path) -> None:
    network, target = _network(), tmp_path / "demo.safetensors"
    size = exporting.export(
        network.state_dict(), target, steps=7, today=datetime.date(2026, 1, 2)
    )
    assert size == target.stat().st_size < exporting.MAX_BYTES
    with safe_open(target, "pt") as file:
        assert file.metadata()["steps"] == "7"
        loaded = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert all(value.dtype == torch.float16 for value in loaded.values())
    again = _network()
    again.load_state_dict({name: value.float() for name, value in loaded.items()})
    for name, value in network.state_dict().items():
        assert torch.allclose(again.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_the_weights_in_the_package_fit_and_say_what_they_are() -> None:
    asset = Path(networks.__file__).parent / "assets" / "demo.safetensors"
    with safe_open(asset, "pt") as file:
        metadata = file.metadata()
    assert metadata["name"] == "demo"
    assert metadata["licence"] == "MIT"
    assert "synthetic" in metadata["trained_on"]
    assert int(metadata["steps"]) > 0
    _network().load_state_dict(load_file(asset))
    assert asset.stat().st_size < exporting.MAX_BYTES


def test_weights_beyond_float16_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "demo.safetensors"
    with pytest.raises(ValueError, match="not finite"):
        exporting.export(
            {"a": torch.tensor([1e6])}, target, steps=0, today=datetime.date.min
        )
    assert not target.exists()


def test_weights_too_large_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "demo.safetensors"
    with pytest.raises(ValueError, match="at most"):
        exporting.export(
            {"a": torch.zeros(7_000_000)}, target, steps=0, today=datetime.date.min
        )
    assert list(tmp_path.iterdir()) == []


def _line(channel: int, program: int, pitches: range) -> list[mido.Message]:
    """Return a second of music for each pitch, at the default tempo."""
    setup = mido.Message("program_change", channel=channel, program=program)
    loud = mido.Message("control_change", channel=channel, control=7, value=1)
    line = [setup, loud]
    for pitch in pitches:
        key = {"channel": channel, "note": pitch}
        line.append(mido.Message("note_on", velocity=90, **key))
        line.append(mido.Message("note_off", time=960, **key))
    return line


def _piece() -> mido.MidiFile:
    """Return three lines of 40 seconds: a bass, a piano and drums."""
    lines = [
        _line(0, 33, range(40, 60)) * 2,
        _line(1, 0, range(60, 80)) * 2,
        _line(9, 0, range(35, 55)) * 2,
    ]
    return mido.MidiFile(tracks=[mido.MidiTrack(line) for line in lines])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_variation_has_every_stem_and_ends_in_time(seed: int) -> None:
    varied = varying.vary(np.random.default_rng(seed), _piece(), 30.0)
    assert all(midi.notes(varied, stem) for stem in songs.SOURCES[:3])
    assert 30.0 <= varied.length < 32.0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_variation_leaves_the_drums_keys(seed: int) -> None:
    varied = varying.vary(np.random.default_rng(seed), _piece(), 30.0)
    struck = {m.note for m in varied if m.type == "note_on" and m.channel == 9}
    assert struck <= set(range(35, 55))


def test_variations_differ_in_key_and_sound() -> None:
    found = [varying.vary(np.random.default_rng(s), _piece(), 30.0) for s in SEEDS]
    keys = [
        next(m.note for m in file if m.type == "note_on" and m.channel == 1)
        for file in found
    ]
    programs = [
        next(m.program for m in file if m.type == "program_change" and m.channel == 1)
        for file in found
    ]
    assert len(set(keys)) > 5
    assert len(set(programs)) > 5


def test_a_file_s_volumes_are_drawn_anew() -> None:
    varied = varying.vary(np.random.default_rng(0), _piece(), 30.0)
    volumes = [m.value for m in varied if m.is_cc(7)]
    assert len(volumes) == 16
    assert min(volumes) >= 60


def test_doubled_basses_are_other_instruments_with_the_bass_s_notes() -> None:
    doubled = [
        file
        for seed in range(100)
        for file in [varying.vary(np.random.default_rng(seed), _piece(), 30.0)]
        if any(m.type == "note_on" and m.channel == 2 for m in file)
    ]
    assert 15 < len(doubled) < 45
    for file in doubled:
        programs = {m.channel: m.program for m in file if m.type == "program_change"}
        assert programs[2] in styles.LOW
        first = [
            next(m.note for m in file if m.type == "note_on" and m.channel == channel)
            for channel in (0, 2)
        ]
        assert first[1] - first[0] in (0, 12)


def test_chords_are_written_as_mma_names_them() -> None:
    major = Harmony(0, styles.SCALES["major"], (0,), 3)
    sevenths = replace(major, chord_size=4)
    names = [arranging._chord(major, degree) for degree in range(7)]
    assert names == ["C", "Dm", "Em", "F", "G", "Am", "Bmb5"]
    names = [arranging._chord(sevenths, degree) for degree in range(7)]
    assert names == ["CM7", "Dm7", "Em7", "FM7", "G7", "Am7", "Bm7b5"]


@pytest.mark.skipif(shutil.which("mma") is None, reason="needs Debian's mma")
@pytest.mark.parametrize("seed", range(8))
def test_mma_plays_what_was_made_up(seed: int) -> None:
    file = arranging.arrange(np.random.default_rng(seed), 30.0)
    assert file.length >= 30.0
    assert sum(midi.notes(file, stem) for stem in songs.SOURCES[:3]) > 50


@pytest.mark.skipif(shutil.which("mma") is None, reason="needs Debian's mma")
def test_mma_plays_a_seed_always_the_same() -> None:
    for seed in range(6):
        first, again = (
            list(arranging.arrange(np.random.default_rng(seed), 30.0)) for _ in range(2)
        )
        assert first == again


def test_music_is_borrowed_from_the_games_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = io.BytesIO()
    _piece().save(file=stored)
    lump, other = stored.getvalue(), b"not music"
    game = tmp_path / "free.wad"
    listed = 12 + len(lump) + len(other)
    game.write_bytes(
        struct.pack("<4sii", b"IWAD", 2, listed)
        + other
        + lump
        + struct.pack("<ii8s", 12, len(other), b"PALETTE")
        + struct.pack("<ii8s", 12 + len(other), len(lump), b"D_E1M1")
    )
    monkeypatch.setattr(borrowing, "GAMES", (game,))
    piece = borrowing.borrow(np.random.default_rng(0))
    assert midi.notes(piece, "bass") == midi.notes(_piece(), "bass") > 0


def test_music_that_is_not_there_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(borrowing, "GAMES", (tmp_path / "no.wad",))
    monkeypatch.setattr(arranging, "LIBRARY", tmp_path / "no")
    with pytest.raises(FileNotFoundError, match="apt-get install freedoom"):
        borrowing.borrow(np.random.default_rng(0))
    with pytest.raises(FileNotFoundError, match="apt-get install mma"):
        arranging.arrange(np.random.default_rng(0), 30.0)


def _note(channel: int, time: int = 10) -> mido.Message:
    return mido.Message("note_on", channel=channel, note=60, velocity=9, time=time)


def test_stems_of_a_midi_file_keep_their_times() -> None:
    track = mido.MidiTrack(
        [
            mido.Message("program_change", channel=1, program=33),
            _note(0),
            _note(1),
            _note(9),
            mido.Message("program_change", channel=1, program=0),
            _note(1),
        ]
    )
    file = mido.MidiFile(tracks=[track])
    for stem, expected in {"drums": [30], "bass": [20], "other": [10, 40]}.items():
        now, starts = 0, []
        for message in midi.only(file, stem).tracks[0]:
            now += message.time
            starts += [now] if message.type == "note_on" else []
        assert starts == expected


def test_missing_music_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heldout, "PACKAGES", {tmp_path / "no": "openttd-openmsx"})
    with pytest.raises(FileNotFoundError, match="apt-get install openttd-openmsx"):
        heldout.clips(tmp_path / "cache")


def _clip() -> heldout.Clip:
    stems = np.random.default_rng(0).normal(size=(4, 2, 5_000))
    stems[3] = 0
    return heldout.Clip("noise", stems)


def test_the_mix_itself_gains_nothing() -> None:
    clip = _clip()
    estimates = np.repeat(clip.mix[None], 4, axis=0)
    gains = scoring.score(clip, estimates).gains
    assert gains == pytest.approx({"drums": 0, "bass": 0, "other": 0})


def test_nearly_right_stems_gain_much() -> None:
    clip = _clip()
    noise = 1e-3 * np.random.default_rng(1).normal(size=clip.stems.shape)
    result = scoring.score(clip, clip.stems + noise)
    assert min(result.gains.values()) > 50
    assert result.residual < -50
    assert result.vocals < -50


def test_scale_does_not_change_the_ratio() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(2, 1_000))
    estimate = reference + 0.1 * rng.normal(size=(2, 1_000))
    ratio = scoring.si_sdr(estimate, reference)
    assert ratio == pytest.approx(20, abs=0.5)
    assert scoring.si_sdr(3 * estimate, reference) == pytest.approx(ratio)


def test_medians_are_taken_stem_by_stem() -> None:
    one = scoring.Score("a", {"drums": 1.0, "bass": 2.0, "other": 3.0}, -20.0, -30.0)
    two = replace(one, gains={"drums": 3.0, "bass": 2.0, "other": 1.0})
    assert scoring.medians([one, two]) == {
        "drums": 2.0,
        "bass": 2.0,
        "other": 2.0,
        "residual": -20.0,
        "vocals": -30.0,
    }
