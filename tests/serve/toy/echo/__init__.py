"""A toy system: returns texts unchanged."""
