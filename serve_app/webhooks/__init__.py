"""Webhooks: messages about the end of jobs, sent to URLs that clients give."""
