"""Analysis of audio: beats, keys, loudness, levels, sections and waveforms."""
