"""Backends: one module for each runtime of a network, and the choice of one."""
