"""The routes of the archive."""
