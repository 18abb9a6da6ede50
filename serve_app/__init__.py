"""The parts of stemserve that run without Ray."""
