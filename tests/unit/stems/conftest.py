"""A store of songs on a database of its own, and a clock."""

from tests.unit.jobs.conftest import clock, database, store, url

__all__ = ["clock", "database", "store", "url"]
