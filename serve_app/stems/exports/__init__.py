"""Exports of a song and its analysis for DJ programs."""
