"""Tests of serve_app/images."""
