"""The key finder's weights: music with known keys, and what is learned from it."""
