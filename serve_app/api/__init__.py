"""The HTTP application: routing, middleware, errors, and what all systems share."""
