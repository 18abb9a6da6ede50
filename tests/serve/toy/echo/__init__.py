"""A toy system: texts in, the same texts out."""
