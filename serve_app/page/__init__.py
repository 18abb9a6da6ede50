"""The page: static files that use the HTTP API."""
