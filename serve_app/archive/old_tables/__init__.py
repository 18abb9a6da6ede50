"""The tables of the API server that triggered the archive before."""
