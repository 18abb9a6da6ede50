"""Stored responses to requests with an idempotency key."""
