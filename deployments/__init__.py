"""The service on Ray Serve: a thin module a deployment, and `app` to bind them."""
