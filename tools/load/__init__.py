"""Load a server as its clients do, and report how fast it responds."""
