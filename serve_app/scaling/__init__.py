"""How many replicas a pool needs."""
