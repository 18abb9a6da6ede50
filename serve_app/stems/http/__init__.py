"""The routes of stems, and what they need."""
