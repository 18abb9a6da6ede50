"""Separation: a stream of mix blocks in, a stream of stem blocks out."""
