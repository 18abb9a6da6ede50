"""Requests to URLs from clients, kept out of the server's own network."""
