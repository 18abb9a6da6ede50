"""The process that streams media, beside Serve."""
