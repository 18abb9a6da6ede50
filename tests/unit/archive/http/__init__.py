"""Tests of the archive's routes."""
