"""The library: hash, duplicate check, waveform and mix of files in a bucket."""
