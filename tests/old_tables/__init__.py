"""The old API's tables to test with, and what reaches them."""
