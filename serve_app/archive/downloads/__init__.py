"""Media fetched from their sources, continued after any interruption."""
