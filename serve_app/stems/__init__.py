"""Songs in, stems out: the jobs of kind "separation" and all that is theirs."""
