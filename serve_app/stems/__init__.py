"""Separation and analysis of songs: the jobs of kind "separation"."""
