"""Audio in and out, as streams of float32 blocks (2, samples), full scale 1."""
