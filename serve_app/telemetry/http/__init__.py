"""The route that Prometheus scrapes."""
