"""Traces: a song's way from its upload to its webhook, through all processes."""
