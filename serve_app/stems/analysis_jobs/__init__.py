"""Jobs that analyse a song, for songs that take longer than a client can wait."""
