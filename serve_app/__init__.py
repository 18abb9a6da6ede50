"""Everything of stemserve that runs without Ray."""
