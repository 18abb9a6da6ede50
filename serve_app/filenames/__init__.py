"""Names of files, as people write them and as systems can have them."""
