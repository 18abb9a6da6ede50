"""Keeping others from using the service against its own network."""
