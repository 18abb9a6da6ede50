"""The routes of stems, by what they are about."""
