"""The service on Ray Serve: a thin module per deployment; `app` binds them."""
