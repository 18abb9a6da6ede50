"""Waveforms and reports of songs as PNG and SVG, and pictures read and written."""
