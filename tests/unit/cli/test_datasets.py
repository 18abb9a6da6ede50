"""Datasets are read in their published layouts."""

import json
import re
from pathlib import Path

import pytest

from serve_app.cli import datasets
from serve_app.errors import InvalidInput


def _put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_giantsteps_tempo(tmp_path: Path) -> None:
    folder = _put(
        tmp_path,
        {
            "audio/1030011.LOFI.mp3": "",
            "audio/3734.LOFI.mp3": "",
            "audio/not.annotated.LOFI.mp3": "",
            "annotations_v2/tempo/1030011.LOFI.bpm": "139.5\n",
            "annotations_v2/tempo/3734.LOFI.bpm": "0\n",
            "annotations_v2/mirex/1030011.LOFI.mirex": "69.0 139.0 0.4\n",
            "md5/1030011.LOFI.md5": "d41d8",
        },
    )
    (song,) = datasets.read(folder)
    assert song.path == folder / "audio/1030011.LOFI.mp3"
    assert song.truth.bpm == 139.5
    assert song.truth.groups == {"tempo": "110-140"}


def test_giantsteps_form_of_a_tempo(tmp_path: Path) -> None:
    text = "#@format: tempo timestamp(float) bpm(float)\ntempo\t0\t140\n"
    folder = _put(tmp_path, {"audio/1.LOFI.mp3": "", "annotations/1.LOFI.bpm": text})
    assert datasets.read(folder)[0].truth.bpm == 140


def test_giantsteps_key(tmp_path: Path) -> None:
    folder = _put(
        tmp_path,
        {
            "audio/10089.LOFI.mp3": "",
            "annotations/key/10089.LOFI.key": "Eb minor",
            "audio/10090.LOFI.mp3": "",
            "annotations/key/10090.LOFI.key": "D major / F# minor",
        },
    )
    (song,) = datasets.read(folder)
    assert song.truth.key == "Eb minor"


def test_ballroom(tmp_path: Path) -> None:
    folder = _put(
        tmp_path,
        {
            "BallroomData/Waltz/Albums-Step-04.wav": "",
            "BallroomAnnotations/Albums-Step-04.beats": (
                "0.10 1.1\n0.80 1.2\n1.50 1.3\n2.20 2.1\n"
            ),
            "BallroomAnnotations/ballroomGroundTruth/Albums-Step-04.bpm": "87\n",
            "BallroomData/allBallroomFiles": "./Waltz/Albums-Step-04.wav\n",
        },
    )
    (song,) = datasets.read(folder)
    assert song.truth.bpm == 87
    assert song.truth.beats == (0.1, 0.8, 1.5, 2.2)
    assert song.truth.downbeats == (0.1, 2.2)
    assert song.truth.groups == {"tempo": "80-110", "genre": "Waltz"}


def test_gtzan(tmp_path: Path) -> None:
    folder = _put(
        tmp_path,
        {
            "genres/blues/blues.00001.wav": "",
            "genres/blues/blues.00002.wav": "",
            "gtzan_tempo_beat-main/beats/gtzan_blues_00001.beats": "0.5\t4\n1.0\t1\n",
            "gtzan_tempo_beat-main/tempo/gtzan_blues_00001.bpm": "120.1",
            "gtzan_key/genres/blues/blues.00001.lerch.txt": "15\n",
            "gtzan_key/genres/blues/blues.00002.lerch.txt": "-1\n",
        },
    )
    (song,) = datasets.read(folder)
    assert song.truth.bpm == 120.1
    assert (song.truth.beats, song.truth.downbeats) == ((0.5, 1.0), (1.0,))
    # 3 semitones above A, plus 12 for minor.
    assert song.truth.key == "C minor"
    assert song.truth.groups["genre"] == "blues"


@pytest.mark.parametrize(
    "text", ["0.5 4\n1.0 1\n", "0.5 4.0\n1.0 1.0\n", "0.5 8.4\n1.0 9.1\n"]
)
def test_places_in_the_bar_are_read_in_three_forms(tmp_path: Path, text: str) -> None:
    folder = _put(tmp_path, {"a.wav": "", "a.beats": text})
    assert datasets.read(folder)[0].truth.downbeats == (1.0,)


def test_beats_without_places_have_no_downbeats(tmp_path: Path) -> None:
    folder = _put(tmp_path, {"a.wav": "", "a.beats": "0.5\n1.0\n"})
    truth = datasets.read(folder)[0].truth
    assert (truth.beats, truth.downbeats) == ((0.5, 1.0), None)


def test_rendered_pieces(tmp_path: Path) -> None:
    told = {
        **{"bpm": None, "main_bpm": 90.0, "is_constant": False, "tempo": "drift"},
        **{"beats": [0.5, 1.0], "downbeats": [0.5], "meter": 3, "key": "F major"},
        **{"family": "waltz", "has_drums": False, "soundfont": "OPL3"},
    }
    folder = _put(
        tmp_path,
        {
            "score_c001.flac": "",
            "score_c001.drums.flac": "",
            "score_c001.json": json.dumps(told),
            ".librosa/score_c001.flac.json": '{"bpm": 1}',
        },
    )
    (song,) = datasets.read(folder)
    assert (song.truth.bpm, song.truth.key) == (None, "F major")
    assert song.truth.downbeats == (0.5,)
    assert song.truth.groups == {
        **{"tempo": "80-110", "style": "waltz", "drums": "without drums"},
        **{"constancy": "drift", "soundfont": "OPL3", "meter": "3"},
    }


DOCUMENTED = {
    **{"bpm": 128.0, "main_bpm": 128.0, "beats": [0.5, 1.0], "downbeats": [0.5]},
    **{"meter": 4, "key": "Eb minor", "keys": [[0, 9, "Eb minor"]], "traits": []},
}


def test_a_piece_needs_only_what_is_documented(tmp_path: Path) -> None:
    text = Path("docs/music-pieces.md").read_text()
    table = text.partition("## Truth")[2].partition("\n- ")[0]
    cells = [
        line.split("|")[1] for line in table.splitlines() if line.startswith("| `")
    ]
    assert DOCUMENTED.keys() == set(re.findall(r"`(\w+)`", "".join(cells)))
    folder = _put(tmp_path, {"a.wav": "", "a.json": json.dumps(DOCUMENTED)})
    truth = datasets.read(folder)[0].truth
    assert (truth.bpm, truth.key, truth.beats) == (128.0, "Eb minor", (0.5, 1.0))
    assert truth.groups["constancy"] == "constant"


@pytest.mark.parametrize("missing", sorted(DOCUMENTED.keys() - {"downbeats"}))
def test_what_is_not_known_of_a_piece_may_be_missing(
    tmp_path: Path, missing: str
) -> None:
    told = {name: value for name, value in DOCUMENTED.items() if name != missing}
    folder = _put(tmp_path, {"a.wav": "", "a.json": json.dumps(told)})
    assert datasets.read(folder)[0].truth.downbeats == (0.5,)


@pytest.mark.parametrize("text", ["fast", "nan", ""])
def test_a_broken_annotation_is_named_or_tells_nothing(
    tmp_path: Path, text: str
) -> None:
    folder = _put(tmp_path, {"a.wav": "", "a.bpm": text})
    with pytest.raises(InvalidInput, match=r"a\.bpm|no songs with annotations"):
        datasets.read(folder)


def test_a_folder_without_songs_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="GiantSteps"):
        datasets.read(tmp_path)
    with pytest.raises(InvalidInput, match="is not a folder"):
        datasets.read(tmp_path / "nowhere")
