"""Waveforms and reports of songs, drawn as PNG and SVG from plain numbers."""
