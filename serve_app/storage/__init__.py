"""Storage of files by key: originals, stems and derived files."""
