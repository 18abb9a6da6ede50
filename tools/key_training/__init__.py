"""Training of the key network's weights on music with known keys."""
