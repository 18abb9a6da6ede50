"""Files by key: originals in, stems out."""
