"""Generated pieces of music with known beats, downbeats and keys.

A piece is a pure function of its line in `pieces.csv`: its notes are composed, or
arranged by MMA (Musical MIDI Accompaniment), played with human timing, rendered by
fluidsynth and mastered. On Debian or Ubuntu this requires:

    apt-get install fluidsynth mma fluid-soundfont-gm timgm6mb-soundfont \\
        musescore-general-soundfont-small opl3-soundfont csound-soundfont
    apt-get install openttd-openmsx planetblupi-music-midi freedoom  # field pieces

`python -m tools.music --part score --out DIR` renders one part of the list.
"""
