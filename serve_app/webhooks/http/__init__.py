"""The routes of webhooks, and what they need."""
