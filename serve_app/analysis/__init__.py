"""Analysis: tempo and key of a song."""
