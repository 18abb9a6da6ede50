"""Telling clients of the end of their jobs, at addresses that they name."""
