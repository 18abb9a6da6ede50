"""File names: titles from any name, and safe names from titles."""
