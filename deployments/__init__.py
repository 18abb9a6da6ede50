"""The service on Ray Serve: one thin module a deployment, and `app`, which binds them."""
