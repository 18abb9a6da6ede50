"""The HTTP routes of stems."""
