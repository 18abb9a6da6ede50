"""A chaos test: jobs run while a monkey kills the processes that serve them."""
